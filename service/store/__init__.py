"""The only place that writes to the database, and nearly the only SQL."""
