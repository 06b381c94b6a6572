"""Queries that answer the API: each function is one question, named as the question.

They read only; the few writes that people make over the API (acknowledgements, mutes) live in
`service.store.remarks`.
"""
