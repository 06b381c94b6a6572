"""`verify`: everything derived, recomputed from the facts and compared. `rebuild`: replaced."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from service.pipeline import apply, levels
from service.pipeline.holds import holding
from service.pipeline.office import Office
from service.rules.book import Window
from service.store import accounts, askers, bulks, clients, dirty, rollups
from service.store import derived as derived_store
from service.store import facts as fact_store
from service.store import levels as level_store
from service.store.derived import Difference
from service.store.engine import reading, transaction
from service.store.handles import Connection

BATCH = 500


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing that is stored otherwise than it is derived."""

    account: str
    what: str  # violation | contribution | mark | deal | task | level | rollup | bulk | client
    subject: str
    detail: str


def verify(
    office: Office, account_id: str, progress: Callable[[int], None] = lambda _: None
) -> list[Drift]:
    """All differences between what is stored and what the facts give (in one snapshot)."""
    found: list[Drift] = []
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        if row is None:
            return found
        windows = office.windows(connection, row)
        for keys in pieces(connection, account_id):
            made = apply.plan(connection, account_id, [], windows, force=keys, whole=True)
            found += _drifts(account_id, made.difference) + _of_clients(made)
            progress(len(keys))
        found += [
            Drift(account_id, "client", f"contact:{contact}", "too many: keys of nobody")
            for contact in clients.strangers(connection, account_id)
        ]
        found += [
            Drift(account_id, "client", f"lead:{lead}", "too many: keys of nobody")
            for lead in askers.strangers(connection, account_id)
        ]
        found += _of_sums(connection, account_id, windows)
        found += [
            Drift(account_id, "bulk", f"deal:{edit.deal}", f"{how}: an edit by {edit.author}")
            for how, edit in bulks.edits_that_differ(
                connection, account_id, pieces(connection, account_id)
            )
        ]
    return found


def _of_sums(connection: Connection, account_id: str, windows: Sequence[Window]) -> list[Drift]:
    found = _level_drifts(connection, account_id, windows)
    found += [
        Drift(account_id, "rollup", cell, detail)
        for cell, detail in rollups.differences(connection, account_id)
    ]
    limit = windows[-1].config.document.bulk.limit
    found += [
        Drift(account_id, "bulk", stretch.author, f"{how}: {stretch.since} to {stretch.until}")
        for how, stretch in bulks.stretches_that_differ(connection, account_id, limit)
    ]
    return found


def sample(
    office: Office, account_id: str, after: str | None, limit: int
) -> tuple[list[str], dict[str, list[Drift]]]:
    """The next timelines after `after`, and the differences by timeline.

    While a change of settings or mutes is still being worked on, differences mean nothing: none
    are told.
    """
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        if row is None or row.judged_version < row.config_version:
            return [], {}
        windows = office.windows(connection, row)
        keys = fact_store.timelines(connection, account_id, after, limit)
        found = {}
        stale = dirty.among(connection, account_id, keys)
        for key in keys:
            if key in stale:
                continue
            made = apply.plan(connection, account_id, [], windows, force=[key], whole=True)
            if drifts := _drifts(account_id, made.difference) + _of_clients(made):
                found[key] = drifts
    return keys, found


def mend(office: Office, account_id: str, keys: Sequence[str]) -> None:
    """Derive these timelines again and write what differs; another worker's account is left."""
    with holding(office, account_id) as mine:
        if not mine:
            return
        with reading(office.engine) as connection:
            row = accounts.account(connection, account_id)
            if row is None:
                return
            windows = office.windows(connection, row)
            made = apply.plan(connection, account_id, [], windows, force=keys, whole=True)
        with transaction(office.engine) as connection:
            if accounts.hold(connection, account_id, office.worker):
                judge_now = row.backfill_state != "running"
                apply.commit(connection, made, windows, judge_levels=judge_now)


def sums(office: Office, account_id: str) -> list[Drift]:
    """All differences of the second layer and of the rollups; none while things are moving."""
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        settled = row is not None and row.judged_version >= row.config_version
        if row is None or not settled or level_store.marked(connection, account_id):
            return []
        return _of_sums(connection, account_id, office.windows(connection, row))


def mend_sums(office: Office, account_id: str) -> None:
    """Make the rollups anew and judge the second layer again."""
    with holding(office, account_id) as mine:
        if not mine:
            return
        with transaction(office.engine) as connection:
            row = accounts.account(connection, account_id)
            if row is None or not accounts.hold(connection, account_id, office.worker):
                return
            windows = office.windows(connection, row)
            rollups.rebuild(connection, account_id)
            bulks.rebuild(connection, account_id, windows[-1].config.document.bulk.limit)
            levels.judge_everything(connection, account_id, windows)
            accounts.bump(connection, account_id)


def rebuild(
    office: Office, account_id: str, progress: Callable[[int], None] = lambda _: None
) -> None:
    """Derive everything again and write the differences; ids and announcements stay."""
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        if row is None:
            return
        windows = office.windows(connection, row)
        all_keys = list(pieces(connection, account_id))
    for keys in all_keys:
        with transaction(office.engine) as connection:
            made = apply.plan(connection, account_id, [], windows, force=keys, whole=True)
            apply.commit(connection, made, windows, judge_levels=False)
        progress(len(keys))
    with transaction(office.engine) as connection:
        clients.forget(connection, account_id, clients.strangers(connection, account_id))
        askers.forget(connection, account_id, askers.strangers(connection, account_id))
        rollups.rebuild(connection, account_id)
        limit = windows[-1].config.document.bulk.limit
        bulks.restore(connection, account_id, pieces(connection, account_id), limit)
        levels.judge_everything(connection, account_id, windows)
        dirty = level_store.marked(connection, account_id)
        level_store.unmark(connection, account_id, list(dirty))
        accounts.bump(connection, account_id)


def pieces(connection: Connection, account_id: str) -> Iterator[list[str]]:
    """The keys of all timelines of an account, some at a time."""
    after: str | None = None
    while keys := fact_store.timelines(connection, account_id, after, BATCH):
        yield keys
        after = keys[-1]


def _level_drifts(
    connection: Connection, account_id: str, windows: Sequence[Window]
) -> list[Drift]:
    difference = Difference()
    for timeline, old, new in levels.everything(connection, account_id, windows):
        derived_store.differ(timeline, old, new, difference)
    return _drifts(account_id, difference)


def _of_clients(made: apply.Plan) -> list[Drift]:
    """Whose deals are whose client's, and by which keys a client is known again."""
    sides = (
        ("missing", "deal", made.linked, "its client"),
        ("too many", "deal", made.unlinked, "its client"),
        ("missing", "contact", made.keyed, "a key"),
        ("too many", "contact", made.unkeyed, "a key"),
        ("missing", "lead", {row[:2] for row in made.asking}, "a key"),
        ("too many", "lead", {row[:2] for row in made.unasking}, "a key"),
    )
    return [
        Drift(made.account_id, "client", f"{kind}:{pair[0]}", f"{how}: {what}")
        for how, kind, pairs, what in sides
        for pair in sorted(pairs)
    ]


def _drifts(account_id: str, difference: Difference) -> list[Drift]:
    found = []
    for how, rows in (
        ("missing", difference.opened),
        ("different", difference.changed),
        ("too many", difference.vanished),
    ):
        found += [
            Drift(account_id, "violation", f"{r['subject_kind']}:{r['subject_id']}",
                  f"{how}: {r['rule']} at {r['breach_at']}") for r in rows
        ]  # fmt: skip
    for how, moved in (("missing", difference.added), ("too many", difference.removed)):
        found += [
            Drift(account_id, "contribution", f"{key[1]}:{key[2]}", f"{how}: {key[0]} {rest}")
            for _, key, rest in moved
        ]
    if not found:  # the rows are right, but it would not be seen if they were not
        found += [
            Drift(account_id, "mark", key, "different")
            for key, old, new in difference.marks
            if (old.facts, old.verdicts) != (new.facts, new.verdicts)
        ]
    found += [Drift(account_id, "deal", f"deal:{r['id']}", "different") for r in difference.deals]
    found += [Drift(account_id, "task", f"task:{r['id']}", "different") for r in difference.tasks]
    found += [Drift(account_id, "deal", f"deal:{d}", "too many") for d in difference.gone_deals]
    found += [Drift(account_id, "task", f"task:{t}", "too many") for t in difference.gone_tasks]
    return found
