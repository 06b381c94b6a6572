"""Simulated CRM portals: amoCRM and Bitrix24 over HTTP, and the department that lives in them.

Nothing here imports anything of Dozor: what the department's bookkeeping counts is a second,
independent opinion about what Dozor should say.
"""
