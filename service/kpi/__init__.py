"""Figures: what timelines contribute, and how contributions are asked for."""
