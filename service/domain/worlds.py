"""What folding asks of an account, taken from its `Config`."""

from service.domain.config import Config
from service.domain.story import World


def world_of(config: Config) -> World:
    """The `World` of an account."""
    names = {kind.id: kind.name for kind in config.directory.task_kinds}
    return World(
        config.stage_kind,
        config.is_human,
        names.get,
        config.standards.is_late,
        config.loss_reason_field,
        config.source_field,
        config.budget_field,
        config.close_date_field,
        config.paid_field,
        config.currency,
        config.timezone,
    )
