"""Trying a changed rule book: what would open and close, and for whom, before anybody is alerted.

Both books judge the same stored facts from the beginning, so the difference is the change's alone.
Nothing is written. A level that counts another rule's violations is judged on the stored ones.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.domain.config import Config
from service.domain.instant import FOREVER, Instant, iso
from service.domain.violation import Found
from service.errors import ConfigError
from service.pipeline import apply, levels, verify
from service.pipeline.office import Office
from service.rules.book import RuleBook, Window
from service.rules.judge import Failure, judge
from service.rules.schema import RuleModel
from service.rules.second import second_rules
from service.store import accounts, rule_files
from service.store.engine import reading
from service.store.handles import Connection

MOST_FAILURES = 100  # a rule that fails fails everywhere: no more are kept


@dataclass(slots=True)
class Trial:
    """What a change of rules would do to what is open now."""

    changed: list[str]  # rules that mean something else, are new or are gone
    opens: list[Found] = field(default_factory=list)
    closes: list[Found] = field(default_factory=list)
    stays: int = 0
    failures: list[Failure] = field(default_factory=list)  # the first ones
    timelines: int = 0


def try_rules(office: Office, account_id: str, book: RuleBook) -> Trial:
    """Judge an account's stored facts by another book.

    Raises:
        ConfigError: there is no such account; or its settings do not fit the book.
    """
    now = office.now()
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        if row is None:
            raise ConfigError(f"ACCOUNT: there is no account {account_id!r}")
        config = office.config(connection, account_id)
        office.shelf.fit(book, rule_files.history(connection, account_id), config)
        pair, changed = _pair(office.book_of(connection, account_id), book, config)
        trial = Trial(changed)
        if not changed:
            return trial
        windows = office.windows(connection, row)
        for keys in verify.pieces(connection, account_id):
            for story in apply.stories(connection, account_id, keys, windows):
                before, after = (judge(story, [window]) for window in pair)
                trial.failures += after[1][: MOST_FAILURES - len(trial.failures)]
                _compare(trial, before[0], after[0], now)
            trial.timelines += len(keys)
        for before_, after_ in _levels(connection, account_id, pair):
            _compare(trial, before_, after_, now)
    return trial


def _pair(old: RuleBook, new: RuleBook, config: Config) -> tuple[tuple[Window, Window], list[str]]:
    """One window for ever under each book, with nothing but the rules that differ."""
    before = {rule.id: rule for rule in old.in_force(config)}
    after = {rule.id: rule for rule in new.in_force(config)}
    versions = [{i: rule.version for i, rule in rules.items()} for rules in (before, after)]
    names = sorted(before.keys() | after.keys())
    changed = [name for name in names if versions[0].get(name) != versions[1].get(name)]
    windows = [
        Window(0, FOREVER, config, [rules[name] for name in changed if name in rules])
        for rules in (before, after)
    ]
    return (windows[0], windows[1]), changed


def _levels(
    connection: Connection, account_id: str, pair: Sequence[Window]
) -> Iterator[tuple[list[Found], list[Found]]]:
    """What the second layer finds by the old book and by the new one."""
    old, new = (
        [
            found
            for rule in second_rules([window])
            for of_holder in levels.whole(connection, account_id, window, rule)
            for found in of_holder
        ]
        for window in pair
    )
    yield old, new


def _compare(trial: Trial, before: Iterable[Found], after: Iterable[Found], now: Instant) -> None:
    old, new = (_open(found, now) for found in (before, after))
    trial.opens += [found for key, found in new.items() if key not in old]
    trial.closes += [found for key, found in old.items() if key not in new]
    trial.stays += len(old.keys() & new.keys())


def _open(found: Iterable[Found], now: Instant) -> dict[tuple[str, str, str], Found]:
    return {
        (one.rule, one.subject_kind, one.subject_id): one
        for one in found
        if one.breach_at <= now and (one.resolved_at is None or one.resolved_at > now)
    }


def tried(office: Office, account_id: str, models: Sequence[RuleModel]) -> dict[str, Any]:
    """What a file of rules would open and close if it became the account's own, as data.

    Raises:
        ConfigError: there is no such account; or its settings do not fit the book.
    """
    found = try_rules(office, account_id, office.shelf.draft(models))
    with reading(office.engine) as connection:
        return as_data(found, office.config(connection, account_id))


def as_data(trial: Trial, config: Config) -> dict[str, Any]:
    """A trial as plain data, for programs."""

    def rows(violations: list[Found]) -> list[dict[str, Any]]:
        return [
            {
                "rule": row.rule,
                "subject": f"{row.subject_kind}:{row.subject_id}",
                "deal": row.deal or None,
                "seller": {"id": row.owner, "name": config.seller_name(row.owner) or row.owner},
                "breach_at": iso(row.breach_at),
            }
            for row in sorted(violations, key=lambda one: (one.breach_at, one.rule, one.subject_id))
        ]

    return {
        "changed": trial.changed, "timelines": trial.timelines, "stays_open": trial.stays,
        "opens": rows(trial.opens), "closes": rows(trial.closes),
        "failures": [
            {"rule": one.rule, "subject": one.subject, "error": one.error}
            for one in trial.failures
        ],
    }  # fmt: skip
