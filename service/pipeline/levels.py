"""The second layer: sellers' levels, judged from the first changed instant on."""

from collections.abc import Iterator, Mapping, Sequence

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


def dirty_sellers(difference: Difference, windows: Sequence[Window]) -> dict[str, Instant]:
    """Sellers whose judged levels a difference changes, each from its first instant on."""
    judged = {rule.model.level for rule in level_rules(windows)}
    first: dict[str, Instant] = {}
    for rows in (difference.added, difference.removed):
        for _, key, rest in rows:
            if key[0] in judged:
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
    for seller, old, new in judgements(connection, account_id, dirty, windows):
        derived_store.differ(f"seller:{seller}", old, new, difference)
    derived_store.write(connection, account_id, difference)


def judgements(
    connection: Connection,
    account_id: str,
    dirty: Mapping[str, Instant],
    windows: Sequence[Window],
) -> Iterator[tuple[str, Derived, Derived]]:
    """(seller, what is stored, what should be) from each seller's instant on, rule by rule."""
    zone = windows[-1].config.timezone
    by_day: dict[int, dict[str, Instant]] = {}
    for seller, at in sorted(dirty.items()):
        by_day.setdefault(local_day(at, zone), {})[seller] = at
    for rule in level_rules(windows):
        for day, sellers in sorted(by_day.items()):
            yield from _judge_day(connection, account_id, rule, day, sellers, windows)


def _judge_day(
    connection: Connection,
    account_id: str,
    rule: Rule,
    day: int,
    sellers: Mapping[str, Instant],
    windows: Sequence[Window],
) -> Iterator[tuple[str, Derived, Derived]]:
    """One rule for sellers whose first changed instants lie on one local day."""
    metric = rule.model.level or ""
    names = list(sellers)
    levels = store.levels_before(connection, account_id, metric, names, day)
    steps = store.steps_from(connection, account_id, metric, names, day)
    since = min(sellers.values()) - max(rule.join_seconds, 1)
    stored = store.intervals(connection, account_id, rule.id, names, since)
    for seller, at in sellers.items():
        before = levels[seller] + sum(delta for when, delta in steps[seller] if when < at)
        after = [step for step in steps[seller] if step[0] >= at]
        old, carried = _stored(stored[seller], rule, at)
        new = Derived()
        for found in judge_level(rule.id, seller, before, after, windows, carried, at):
            row = violation_row(account_id, f"seller:{seller}", found)
            new.violations[row["id"]] = row
        yield seller, old, new


def _stored(rows: Sequence[Row], rule: Rule, at: Instant) -> tuple[Derived, Carried | None]:
    """The stored intervals that are judged again, and the one that comes from before."""
    old = Derived()
    old.violations = {row["id"]: row for row in rows if row["breach_at"] >= at}
    earlier = [row for row in rows if row["breach_at"] < at]
    carried = _carried(earlier[-1] if earlier else None, rule, at)
    if carried is not None:
        old.violations[earlier[-1]["id"]] = earlier[-1]
    return old, carried


def level_rules(windows: Sequence[Window]) -> list[Rule]:
    """The level rules of any window, each once."""
    found = {r.id: r for window in windows for r in window.rules if r.model.form == "level"}
    return list(found.values())


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
