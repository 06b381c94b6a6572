"""Flat tables for BI tools: one dictionary, read from one snapshot."""
