"""Dozor: watches a sales department's CRM."""

__version__ = "0.1.0"
