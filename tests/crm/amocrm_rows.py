"""Rows of amoCRM's API v4 for tests."""

from typing import Any

from tests.crm.kit import sample


def rest(name: str) -> Any:
    """A published answer."""
    return sample("amocrm", f"rest-{name}")


def lead(**given: Any) -> dict[str, Any]:
    return {
        "id": 5, "name": None, "price": None, "pipeline_id": 31, "status_id": 142,
        "responsible_user_id": 7, "created_by": 0, "updated_by": 7, "created_at": 1_700_000_000,
        "updated_at": 1_700_009_000, "closed_at": 1_700_001_000, "custom_fields_values": None,
        "loss_reason_id": None, "_embedded": {"tags": [], "companies": []},
    } | given  # fmt: skip


def event(number: int, at: int, before: int, after: int) -> dict[str, Any]:
    def status(stage: int) -> list[Any]:
        return [{"lead_status": {"id": stage, "pipeline_id": 31}}]

    return {
        "id": f"e{number}", "type": "lead_status_changed", "entity_id": 5, "entity_type": "lead",
        "created_by": 7, "created_at": at, "value_before": status(before),
        "value_after": status(after),
    }  # fmt: skip
