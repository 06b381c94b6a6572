"""Bitrix24: events that carry only an id, and REST through an incoming webhook."""
