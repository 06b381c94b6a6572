"""Who went on from a stage in a span, whenever they had entered it (the funnel by period)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta

from sqlalchemy import Connection, Table, func, select

from service.domain.config import Config
from service.domain.period import day_start, to_day
from service.kpi.metrics import METRICS, STRICT
from service.kpi.question import Question, own_filters
from service.kpi.sums import Ask
from service.store.tables import Contribution

_C: Table = Contribution.__table__  # type: ignore[attr-defined]


def passed_on(connection: Connection, config: Config, question: Question) -> Mapping[str, int]:
    """Entries that were passed in the span, by stage (its id in its pipeline).

    Index: ix_contribution_day.
    """
    filters = own_filters(config, replace(question, first=date.min))  # entered at any time
    if filters is None:
        return {}
    slug = STRICT["stage_passes"] if question.strict else "stage_passes"
    parts = METRICS[slug].parts
    conditions = Ask(config.account_id, parts, (), filters).conditions(question.cut(config))
    start = day_start(to_day(question.first), config.timezone)
    over = day_start(to_day(question.last + timedelta(days=1)), config.timezone)
    passed_at = _C.c.at + _C.c.age
    query = (
        select(_C.c.stage, func.sum(_C.c.value))
        .where(_C.c.account_id == config.account_id, _C.c.metric.in_(parts))
        .where(_C.c.day <= to_day(question.last), *conditions)
        .where(passed_at >= start, passed_at < over)
        .group_by(_C.c.stage)
    )
    return {stage: int(value) for stage, value in connection.execute(query)}
