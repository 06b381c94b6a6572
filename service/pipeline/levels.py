"""The second layer: levels of sellers and accounts, judged from the first changed instant on."""

from collections.abc import Iterator, Mapping, Sequence

from service.domain.instant import Instant
from service.domain.period import local_day
from service.domain.violation import Found
from service.pipeline.derive import violation_row
from service.rules.book import Rule, Window
from service.rules.levels import Carried, holder_of, judge_level, over_since
from service.store import derived as derived_store
from service.store import levels as store
from service.store.derived import Derived, Difference, Row
from service.store.handles import Connection

LOOK_BACK_SECONDS = 14 * 86_400  # how far a run above the limit is followed back at first


def dirty_sellers(difference: Difference, windows: Sequence[Window]) -> dict[str, Instant]:
    """Whose judged levels a difference changes ("": the account's), from the first instant on."""
    config = windows[-1].config
    judged = {rule.metric(config) for rule in level_rules(windows)}
    of_account = {
        rule.metric(config) for rule in level_rules(windows) if rule.model.on == "account"
    }
    first: dict[str, Instant] = {}
    for rows in (difference.added, difference.removed):
        for _, key, rest in rows:
            if key[0] in judged:
                at, seller = rest[0], rest[2]
                if seller or key[0] in of_account:
                    first[seller] = min(at, first.get(seller, at))
    return first


def judge_sellers(
    connection: Connection,
    account_id: str,
    dirty: Mapping[str, Instant],
    windows: Sequence[Window],
) -> None:
    """Judge the level rules of these sellers again and write the difference."""
    difference = Difference()
    for timeline, old, new in judgements(connection, account_id, dirty, windows):
        derived_store.differ(timeline, old, new, difference)
    derived_store.write(connection, account_id, difference)


def holders(connection: Connection, account_id: str, windows: Sequence[Window]) -> list[str]:
    """All sellers that ever had a part in a judged level; "" where the account has one."""
    config = windows[-1].config
    metrics = {rule.metric(config) for rule in level_rules(windows)}
    found: set[str] = set()
    for metric in metrics:
        found.update(store.sellers_with(connection, account_id, metric))
    return sorted(found)


def judgements(
    connection: Connection,
    account_id: str,
    dirty: Mapping[str, Instant],
    windows: Sequence[Window],
) -> Iterator[tuple[str, Derived, Derived]]:
    """(timeline, what is stored, what should be) from each one's instant on, rule by rule."""
    for rule in level_rules(windows):
        bench = _Bench(connection, account_id, windows, rule)
        of_account = rule.model.on == "account"
        chosen = {who: at for who, at in sorted(dirty.items()) if (not who) == of_account}
        yield from bench.waiting(chosen) if rule.default_for.count else bench.at_once(chosen)


class _Bench:
    """One rule, judged again for some holders of its level."""

    def __init__(
        self, connection: Connection, account_id: str, windows: Sequence[Window], rule: Rule
    ) -> None:
        self._connection = connection
        self._account_id = account_id
        self._windows = windows
        self._rule = rule
        self._config = windows[-1].config
        self._metric = rule.metric(self._config)

    def at_once(self, dirty: Mapping[str, Instant]) -> Iterator[tuple[str, Derived, Derived]]:
        """Those whose first changed instants lie on one local day are read together."""
        by_day: dict[int, dict[str, Instant]] = {}
        for who, at in dirty.items():
            by_day.setdefault(local_day(at, self._config.timezone), {})[who] = at
        for day, sellers in sorted(by_day.items()):
            levels, steps = self._read(list(sellers), day)
            for seller, at in sellers.items():
                yield self._judged(seller, at, levels[seller], steps[seller])

    def waiting(self, dirty: Mapping[str, Instant]) -> Iterator[tuple[str, Derived, Derived]]:
        """The same for a rule that allows some time above the limit.

        The run above the limit that reaches into the changed instant is followed back to its start.
        """
        for seller, at in dirty.items():
            holder = holder_of(self._rule, seller, self._account_id)
            back = LOOK_BACK_SECONDS
            while True:
                begin = max(0, at - back)
                day = local_day(begin, self._config.timezone) if begin else 0
                levels, found = self._read([seller], day)
                level, steps = levels[seller], found[seller]
                edge = min(begin, steps[0][0]) if steps else begin
                since = over_since(self._rule.id, holder, level, steps, self._windows, edge, at)
                if since is not None or not begin or not level:
                    break
                back *= 4
            yield self._judged(seller, at if since is None else since, level, steps)

    def _read(
        self, sellers: list[str], day: int
    ) -> tuple[dict[str, int], dict[str, list[tuple[Instant, int]]]]:
        """Levels before a local day, and the steps from it on."""
        question = (self._connection, self._account_id, self._metric, sellers, day)
        return store.levels_before(*question), store.steps_from(*question)

    def _judged(
        self, seller: str, at: Instant, level: int, steps: Sequence[tuple[Instant, int]]
    ) -> tuple[str, Derived, Derived]:
        """What is stored of one holder from `at` on, and what should be.

        `level`: before all `steps`, of which some may lie before `at`.
        """
        rule = self._rule
        holder = holder_of(rule, seller, self._account_id)
        since = at - max(rule.join_seconds, 1)
        stored = store.intervals(
            self._connection, self._account_id, rule.id, holder.timeline, since
        )
        old, carried = _stored(stored, rule, at)
        before = level + sum(delta for when, delta in steps if when < at)
        after = [step for step in steps if step[0] >= at]
        new = Derived()
        for found in judge_level(rule.id, holder, before, after, self._windows, carried, at):
            row = violation_row(self._account_id, holder.timeline, found)
            new.violations[row["id"]] = row
        return holder.timeline, old, new


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
