"""Any other CRM: facts as JSON, pushed; there is no REST to ask."""
