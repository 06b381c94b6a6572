"""A simulated Bitrix24 portal: REST by incoming webhook, events by outgoing one (bitrix24.md)."""
