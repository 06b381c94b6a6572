"""amoCRM and Kommo: hooks (forms with whole entities) and API v4."""
