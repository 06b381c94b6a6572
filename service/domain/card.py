"""What a deal's card has to hold at its stage, and what of that is empty."""

from service.domain.config import Config
from service.domain.story import DealState


def missing_fields(state: DealState, config: Config) -> tuple[str, ...]:
    """Required but empty: virtual names and custom field ids, in the order of the requirement."""
    asked = config.required(state.pipeline, state.stage)
    return tuple(token for token in asked if not _is_filled(token, state))


def _is_filled(token: str, state: DealState) -> bool:
    if token == "contact":  # noqa: S105 - the name of a field
        return state.contacts is None or bool(state.contacts)
    if token == "company":  # noqa: S105
        return bool(state.company)
    if token == "phone":  # noqa: S105
        return state.contacts is None or state.has_phone
    if token == "budget":  # noqa: S105
        return state.amount > 0
    if token == "source":  # noqa: S105
        return bool(state.source)
    return state.fields is None or bool((state.fields.get(token) or "").strip())
