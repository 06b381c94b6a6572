"""Counts of violations by groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.api.deps import Call
from service.api.names import Names, full_id, rules_of, team_moves
from service.domain.instant import Instant, iso
from service.rules.words import rule_name
from service.store.handles import Connection
from service.store.reads.violations import Question, grouped

MOST_GROUPS = 3
_COLUMNS = {
    "rule": "rule",
    "severity": "severity",
    "seller": "seller",
    "team": "seller",
    "pipeline": "pipeline",
    "account": "account_id",
}


@dataclass
class _Sum:
    count: int = 0
    amount: int = 0
    oldest: Instant = 1 << 62


def rows_by(
    call: Call,
    connection: Connection,
    names: Mapping[str, Names],
    question: Question,
    by: Sequence[str],
) -> list[dict[str, Any]]:
    """The rows of the summary: largest count first, then by group.

    Args:
        call: the request.
        connection: the snapshot.
        names: of the accounts that the caller sees.
        question: which violations.
        by: dimensions; `team` is that of the seller at the breach.
    """
    columns = list(dict.fromkeys(["account_id", *(_COLUMNS[name] for name in by)]))
    sums: dict[tuple[tuple[str | None, ...], str], _Sum] = {}
    cuts = team_moves(names) if "team" in by else []
    for values, currency, count, amount, oldest in grouped(connection, question, columns, cuts):
        row = dict(zip(columns, values, strict=False))
        row["since"] = ([0, *cuts])[values[-1]] if cuts else 0
        account = names[row["account_id"]]
        group = tuple(_value(account, name, row) for name in by)
        total = sums.setdefault((group, currency), _Sum())
        total.count += count
        total.amount += amount
        total.oldest = min(total.oldest, oldest)
    order = sorted(sums.items(), key=lambda item: (-item[1].count, _sortable(item[0])))
    labels = _Labels(call, names)
    return [_shown(labels, by, group, currency, total) for (group, currency), total in order]


def _value(names: Names, dimension: str, row: Mapping[str, Any]) -> str | None:
    if dimension == "account":
        return names.id
    if dimension == "team":
        team = names.team(row["seller"], row["since"])
        return str(team["id"]) if team else None
    if dimension in ("seller", "pipeline"):
        return full_id(names.id, row[dimension])
    found: str = row[dimension]
    return found


def _sortable(key: tuple[tuple[str | None, ...], str]) -> tuple[str, ...]:
    return (*(value or "" for value in key[0]), key[1])


def _shown(
    labels: "_Labels", by: Sequence[str], group: tuple[str | None, ...], currency: str, total: _Sum
) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in zip(by, group, strict=True):
        shown[name] = value
        if name != "severity":
            shown[f"{name}_name"] = labels.name(name, value)
    return {
        **shown,
        "count": total.count,
        "amount": total.amount if currency else None,
        "currency": currency or None,
        "oldest_breach_at": iso(total.oldest),
    }


class _Labels:
    """Names of the values of dimensions."""

    def __init__(self, call: Call, names: Mapping[str, Names]) -> None:
        self._call = call
        self._names = names
        self._rules = rules_of(call, names)

    def name(self, dimension: str, value: str | None) -> str | None:
        """The name of one value; None = unknown or none."""
        if value is None:
            return None
        if dimension == "rule":
            return rule_name(self._rules.get(value), value, self._call.lang)
        if dimension == "account":
            return self._names[value].account.name
        if dimension == "team":
            teams = [n.config.teams for n in self._names.values()]
            return next((found[value].name for found in teams if value in found), None)
        account, _, crm_id = value.partition(".")
        config = self._names[account].config
        if dimension == "seller":
            return config.seller_name(crm_id)
        pipeline = config.directory.pipeline(crm_id)
        return pipeline.name if pipeline else None
