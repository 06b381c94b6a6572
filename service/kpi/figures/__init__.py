"""The figures, declared: a module for each section of kpis.md."""
