"""A simulated amoCRM portal: API v4 and account webhooks (reference: amocrm.md)."""
