"""Norms proposed from an account's stored facts; nothing is written, nothing becomes active."""

from collections.abc import Sequence
from typing import Any

from service.domain.config import Config
from service.errors import ConfigError
from service.pipeline import apply
from service.pipeline.office import Office
from service.rules.book import Rule
from service.rules.expression import ConditionFailed
from service.rules.proposing import Norm, Proposer, can_propose
from service.store import accounts
from service.store import facts as fact_store
from service.store.chunks import chunks
from service.store.engine import reading

BATCH = 200


def proposed(office: Office, account_id: str, wanted: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The proposals of some rules (none named: of all that can have one), as data.

    Only timelines of which something was told in the time that a rule looks back to are read.

    Raises:
        ConfigError: there is no such account; a rule is not in force, or has no norm to propose.
    """
    now = office.now()
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        if row is None:
            raise ConfigError(f"ACCOUNT: there is no account {account_id!r}")
        config = office.config(connection, account_id)
        rules = _chosen(office.book_of(connection, account_id).in_force(config), wanted)
        proposers = [Proposer(rule, config, now) for rule in rules]
        since = min((proposer.since for proposer in proposers), default=now)
        windows = office.windows(connection, row)
        failed: dict[str, int] = {}
        for keys in chunks(fact_store.told_since(connection, account_id, since), BATCH):
            for story in apply.stories(connection, account_id, keys, windows):
                for rule, proposer in zip(rules, proposers, strict=True):
                    try:
                        proposer.add(story)
                    except ConditionFailed:
                        failed[rule.id] = failed.get(rule.id, 0) + 1
    return [
        _as_data(rule, proposer, config) | {"failed": failed.get(rule.id, 0)}
        for rule, proposer in zip(rules, proposers, strict=True)
    ]


def _chosen(rules: Sequence[Rule], wanted: Sequence[str]) -> list[Rule]:
    known = {rule.id: rule for rule in rules}
    for name in wanted:
        if name not in known:
            raise ConfigError(f"RULE: {name!r} is not in force")
        if not can_propose(known[name]):
            raise ConfigError(f"RULE: {name!r} waits for nothing; there is no norm to propose")
    return [rule for rule in rules if can_propose(rule) and (not wanted or rule.id in wanted)]


def _as_data(rule: Rule, proposer: Proposer, config: Config) -> dict[str, Any]:
    whole, apart = proposer.norms()
    basis = proposer.basis
    return {
        "rule": rule.id,
        "account": config.account_id,
        **_norm(whole),
        "by": [{"name": norm.name, **_norm(norm)} for norm in apart],
        "basis": {
            "percentile": basis.percentile, "days": basis.days, "of": basis.of,
            "times": basis.times, "least": basis.least,
        },
    }  # fmt: skip


def _norm(norm: Norm) -> dict[str, Any]:
    return {
        "current": str(norm.current),
        "proposed": None if norm.proposed is None else str(norm.proposed),
        "samples": norm.samples,
        "running": norm.running,
        "median_seconds": norm.median,
        "seconds": norm.seconds,
    }
