"""Violation rows as the API shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.api.deps import Call
from service.api.names import Names, full_id, money
from service.domain.bulk import Stretch
from service.domain.instant import Instant, iso
from service.domain.mutes import seconds_until
from service.domain.violation import SECOND_KINDS
from service.rules.words import rule_name
from service.store import bulks
from service.store.handles import Connection
from service.store.reads.alerting import Alerting, alertings
from service.store.reads.subjects import deal_names, task_titles
from service.store.remarks import Marks, Said, marks

Row = Mapping[str, Any]


def status_at(row: Row, at: Instant) -> str:
    """open, upcoming or resolved."""
    resolved = row["resolved_at"]
    if resolved is not None and resolved <= at:
        return "resolved"
    return "open" if row["breach_at"] <= at else "upcoming"


@dataclass(frozen=True)
class Viewer:
    """Everything that a page of violations refers to, read in a few queries."""

    call: Call
    names: Mapping[str, Names]
    marks: Marks
    deals: Mapping[tuple[str, str], str]
    tasks: Mapping[tuple[str, str], str]
    alertings: Mapping[tuple[str, str], Alerting]
    bulks: Mapping[tuple[str, str], Stretch]
    at: Instant

    def show(self, row: Row, status: str | None = None) -> dict[str, Any]:
        """One violation. `status`: instead of what its instants say (`void`)."""
        names = self.names[row["account_id"]]
        mute = self.marks.mute_of(row)
        alerting = self.alerting_of(row)
        return {
            "id": row["id"],
            "account": row["account_id"],
            "rule": self._rule(row),
            "severity": row["severity"],
            "status": status or status_at(row, self.at),
            "subject": self.subject(row),
            "deal": self._deal(row),
            "seller": names.seller(row["seller"]),
            "owner": names.seller(row["owner"]),
            "team": names.team(row["seller"], row["breach_at"]),
            "pipeline": names.pipeline(row["pipeline"]),
            "amount": money(row["amount"], row["currency"]) if row["currency"] else None,
            "since": iso(row["since"]),
            "held_since": iso(row["held_since"]),
            "breach_at": iso(row["breach_at"]),
            "resolved_at": iso(row["resolved_at"]),
            "resolution": row["resolution"],
            "ack": _ack(self.marks.ack_of(row)),
            "mute": _mute(mute),
            "muted": mute is not None,
            "muted_seconds": self._muted_seconds(row),
            "bulk": (row["account_id"], row["id"]) in self.bulks,
            "alerted_at": iso(alerting.sent_at) if alerting else None,
        }

    def _muted_seconds(self, row: Row) -> int | None:
        if row["subject_kind"] in SECOND_KINDS:
            return None
        return seconds_until(row["muted"], self.at)

    def bulk_change(self, row: Row) -> dict[str, Any] | None:
        """The bulk change that began it, with its author."""
        stretch = self.bulks.get((row["account_id"], row["id"]))
        if stretch is None:
            return None
        by = self.names[row["account_id"]].seller(stretch.author) if stretch.author != "0" else None
        since, until = iso(stretch.since), iso(stretch.until)
        return {"by": by, "from": since, "to": until, "deals": stretch.deals}

    def alerting_of(self, row: Row) -> Alerting | None:
        """Whether people were told; None = not due yet."""
        return self.alertings.get((row["account_id"], row["id"]))

    def subject(self, row: Row) -> dict[str, Any]:
        """What the violation is about."""
        account, kind, crm_id = row["account_id"], row["subject_kind"], row["subject_id"]
        names = self.names[account]
        deal = row["deal"]
        url = names.url(kind, crm_id)
        if url is None and kind in ("task", "call"):
            url = names.url("deal", deal)
        return {
            "kind": kind,
            "id": full_id(account, crm_id),
            "name": self._subject_name(account, kind, crm_id),
            "url": url,
        }

    def labels(self, row: Row) -> tuple[str, str]:
        """What people call the deal and the subject; an id where nothing better is known."""
        account = row["account_id"]
        deal = self.deals.get((account, row["deal"])) or row["deal"]
        subject = self._subject_name(account, row["subject_kind"], row["subject_id"])
        return deal, subject or row["values"].get("text", {}).get("name") or row["subject_id"]

    def _subject_name(self, account: str, kind: str, crm_id: str) -> str | None:
        if kind == "deal":
            return self.deals.get((account, crm_id))
        if kind == "task":
            return self.tasks.get((account, crm_id))
        config = self.names[account].config
        if kind == "seller":  # or one of his days
            return config.seller_name(crm_id.partition(":")[0])
        if kind == "team":
            return config.teams[crm_id].name if crm_id in config.teams else None
        return None

    def _deal(self, row: Row) -> dict[str, Any] | None:
        key = (row["account_id"], row["deal"])
        return self.names[row["account_id"]].deal(row["deal"], self.deals.get(key))

    def _rule(self, row: Row) -> dict[str, Any]:
        model = self.names[row["account_id"]].book.model(row["rule"])
        title = rule_name(model, row["rule"], self.call.lang)
        return {"id": row["rule"], "version": row["rule_version"], "title": title}


def viewer(
    call: Call, connection: Connection, names: Mapping[str, Names], rows: Sequence[Row], at: Instant
) -> Viewer:
    """Read what these violations refer to."""
    deals = [(row["account_id"], row["deal"]) for row in rows]
    deals += [
        (row["account_id"], row["subject_id"]) for row in rows if row["subject_kind"] == "deal"
    ]
    tasks = [
        (row["account_id"], row["subject_id"]) for row in rows if row["subject_kind"] == "task"
    ]
    told: dict[tuple[str, str], Alerting] = {}
    began: dict[tuple[str, str], Stretch] = {}
    for account in {row["account_id"] for row in rows}:
        mine = [row for row in rows if row["account_id"] == account]
        found = alertings(connection, account, [row["id"] for row in mine])
        told |= {(account, violation_id): state for violation_id, state in found.items()}
        bulk = bulks.of_violations(connection, account, mine)
        began |= {(account, violation_id): stretch for violation_id, stretch in bulk.items()}
    return Viewer(
        call,
        names,
        marks(connection, rows, at),
        deal_names(connection, deals),
        task_titles(connection, tasks),
        told,
        began,
        at,
    )


def _ack(said: Said | None) -> dict[str, Any] | None:
    if said is None:
        return None
    return {"by": said.author, "at": iso(said.at), "comment": said.text}


def _mute(said: Said | None) -> dict[str, Any] | None:
    if said is None:
        return None
    return {
        "id": said.wide or None,
        "until": iso(said.until),
        "reason": said.text,
        "by": said.author,
        "at": iso(said.at),
    }
