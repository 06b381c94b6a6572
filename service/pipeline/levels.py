"""The second layer: sellers' levels, judged from the first changed instant on."""

from collections.abc import Mapping, Sequence

from service.domain.instant import Instant
from service.domain.period import local_day
from service.domain.violation import Found
from service.pipeline.derive import violation_row
from service.rules.book import Rule, Window
from service.rules.levels import Carried, judge_level
from service.store import derived as derived_store
from service.store import levels as store
from service.store.derived import Derived, Difference, Row
from service.store.handles import Connection


def dirty_sellers(difference: Difference) -> dict[str, Instant]:
    """Sellers whose levels a difference changes, each from its first instant on."""
    first: dict[str, Instant] = {}
    for rows in (difference.added, difference.removed):
        for _, key, rest in rows:
            if key[0] in ("deals_open", "tasks_overdue"):
                at, seller = rest[0], rest[2]
                first[seller] = min(at, first.get(seller, at))
    first.pop("", None)
    return first


def judge_sellers(
    connection: Connection,
    account_id: str,
    dirty: Mapping[str, Instant],
    windows: Sequence[Window],
) -> None:
    """Judge the level rules of these sellers again and write the difference."""
    difference = Difference()
    for seller, at in sorted(dirty.items()):
        for rule in level_rules(windows):
            old, new = judge_seller(connection, account_id, rule, seller, at, windows)
            derived_store.differ(f"seller:{seller}", old, new, difference)
    derived_store.write(connection, account_id, difference)


def level_rules(windows: Sequence[Window]) -> list[Rule]:
    """The level rules of any window, each once."""
    found = {r.id: r for window in windows for r in window.rules if r.model.form == "level"}
    return list(found.values())


def judge_seller(
    connection: Connection,
    account_id: str,
    rule: Rule,
    seller: str,
    at: Instant,
    windows: Sequence[Window],
) -> tuple[Derived, Derived]:
    """(what is stored, what should be) of one rule and seller from `at` on."""
    metric = rule.model.level or ""
    day = local_day(at, windows[-1].config.timezone)
    carried_row = store.last_before(connection, account_id, rule.id, seller, at)
    carried = _carried(carried_row, rule, at)
    found = judge_level(
        rule.id,
        seller,
        store.level_before(connection, account_id, metric, seller, at, day),
        store.steps_from(connection, account_id, metric, seller, at, day),
        windows,
        carried,
        at,
    )
    old, new = Derived(), Derived()
    stored = store.from_on(connection, account_id, rule.id, seller, at)
    if carried is not None and carried_row is not None:
        stored.append(carried_row)
    for row in stored:
        row.pop("account_id", None)
        old.violations[row["id"]] = row
    for interval in found:
        row = violation_row(account_id, f"seller:{seller}", interval)
        new.violations[row["id"]] = row
    return old, new


def _carried(row: Row | None, rule: Rule, at: Instant) -> Carried | None:
    """The interval that reaches into the stretch, or ended so shortly before that it may join."""
    if row is None:
        return None
    ended = row["resolved_at"]
    if ended is not None and ended < at and at - ended >= max(rule.join_seconds, 1):
        return None
    found = Found(
        rule=row["rule"], rule_version=row["rule_version"], severity=row["severity"],
        notice=row["notice"], subject_kind=row["subject_kind"], subject_id=row["subject_id"],
        deal=row["deal"], pipeline=row["pipeline"], stage=row["stage"], seller=row["seller"],
        owner=row["owner"], amount=row["amount"], currency=row["currency"], since=row["since"],
        held_since=row["held_since"], effective_from=row["effective_from"],
        breach_at=row["breach_at"], resolved_at=row["resolved_at"],
        resolution=row["resolution"], values=row["values"],
    )  # fmt: skip
    return Carried(found, ended if ended is not None and ended < at else None)
