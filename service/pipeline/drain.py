"""Inbox rows become facts; facts become everything derived; one transaction a batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from service.domain.config import Config
from service.domain.directory import Directory
from service.domain.facts import Fact
from service.domain.instant import Instant
from service.domain.merging import merge
from service.domain.ports import RawHook
from service.errors import PayloadNotUnderstood
from service.kpi import teammoves
from service.pipeline import apply, levels
from service.pipeline.office import Office
from service.rules.judge import Failure
from service.store import accounts, health, inbox
from service.store import facts as fact_store
from service.store.accounts import AccountRow
from service.store.engine import reading, transaction
from service.store.handles import Connection

BATCH = 1000
log = structlog.get_logger()


class LeaseLost(Exception):  # noqa: N818 - control flow between worker and transaction
    """Another worker has taken the account; nothing was written."""


@dataclass(slots=True)
class Normalised:
    """What a batch of inbox rows says."""

    facts: list[Fact] = field(default_factory=list)
    touched: dict[tuple[str, str], Instant] = field(default_factory=dict)  # since when
    settled: list[tuple[int, str, str | None, int]] = field(default_factory=list)
    directory_changed: bool = False
    directory: Directory | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    farewell: str | None = None
    received: set[Instant] = field(default_factory=set)


def drain(office: Office, account_id: str) -> int:
    """Work on one batch of an account's inbox; how many rows there were."""
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        if row is None:
            return 0
        rows = inbox.pending(connection, account_id, BATCH)
        if not rows:
            return 0
        row = office.keyed(row)
        config = office.config(connection, account_id)
        windows = office.windows(connection, row)
        said = normalise(office, row, config, rows)
        made = apply.plan(connection, account_id, said.facts, windows)
    with transaction(office.engine) as connection:
        if not accounts.hold(connection, account_id, office.worker):
            raise LeaseLost(account_id)
        judged_now = row.backfill_state != "running"
        apply.commit(connection, made, windows, judge_levels=judged_now)
        levels.note_heard(connection, account_id, sorted(said.received), windows)
        inbox.settle(connection, account_id, said.settled)
        fact_store.touch(connection, account_id, said.touched, office.now(), said.touched)
        note_failures(connection, account_id, made.failures, office.now())
        if said.directory is not None:
            keep_directory(office, connection, account_id, said.directory)
        values: dict[str, object] = {"last_event_at": max(said.received)}
        if said.directory_changed:
            values["directory_wanted"] = True
        if said.farewell:
            values |= {"status": "error", "error": said.farewell}
        if said.secrets:
            values["secrets"] = office.with_secrets(row, said.secrets)
        accounts.change(connection, account_id, **values)
        accounts.count(connection, account_id, hooks_received=len(rows))
    return len(rows)


def keep_directory(office: Office, connection: Connection, account_id: str, new: Directory) -> None:
    """Store what a portal says of its users, pipelines and fields, beside what it said before."""
    before = teammoves.begin(connection, account_id, office.settings.lang)
    fresh = merge(before.directory, new, office.now())
    if accounts.save_directory(connection, account_id, fresh, office.now()):
        teammoves.follow(connection, before, teammoves.AUTHOR, office.now())


def normalise(
    office: Office, row: AccountRow, config: Config, rows: Sequence[inbox.InboxRow]
) -> Normalised:
    """Bytes to facts, row by row; what is not understood is parked with its reason."""
    adapter = office.adapter(row.crm)
    portal = office.portal(row, config)
    said = Normalised()
    for item in rows:
        said.received.add(item.received_at)
        raw = RawHook(item.body, item.content_type, item.received_at)
        try:
            if adapter.admits(raw, portal) == "hold":
                said.settled.append((item.id, "parked", "token_missing", 0))
                continue
            decoded = adapter.decode(raw, portal)
        except PayloadNotUnderstood as error:
            said.settled.append((item.id, "parked", error.reason, 0))
            continue
        except Exception:
            log.exception("hook_decode_failed", account=row.account_id, row=item.id)
            said.settled.append((item.id, "parked", "internal_error", 0))
            continue
        said.facts += decoded.facts
        for t in decoded.touched:
            said.touched.setdefault((str(t.kind), t.id), item.received_at)
        said.directory_changed |= decoded.directory_changed
        said.directory = decoded.directory or said.directory
        said.secrets |= decoded.secrets
        said.farewell = decoded.farewell or said.farewell
        reason = f"ignored:{decoded.ignored}" if decoded.ignored else None
        said.settled.append((item.id, "done", reason, len(decoded.facts)))
    said.directory_changed |= adapter.has_rest and names_strangers(said.facts, config)
    return said


def names_strangers(facts: Sequence[Fact], config: Config) -> bool:
    """Whether a fact names a stage or user that the directory does not know (decisions 31)."""
    users = {seller.id for seller in config.directory.sellers}
    for fact in facts:
        body = fact.body
        stage, pipeline = body.get("stage"), body.get("pipeline")
        if stage and pipeline and config.stage_name(pipeline, stage) is None:
            return True
        responsible = body.get("responsible")
        if responsible and users and responsible not in users:
            return True
    return False


def note_failures(
    connection: Connection, account_id: str, failures: Sequence[Failure], now: Instant
) -> None:
    """A rule that had no answer is a visible state of that rule."""
    for failure in failures:
        health.note(connection, account_id, failure.rule, failure.subject, failure.error, now)


def store_facts(
    office: Office,
    account_id: str,
    facts: Sequence[Fact],
    also: "Callable[[Connection], None] | None" = None,
) -> int:
    """Facts from REST: apply them in one transaction, with `also` done in it; how many were new."""
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        if row is None:
            return 0
        windows = office.windows(connection, row)
        made = apply.plan(connection, account_id, facts, windows)
    with transaction(office.engine) as connection:
        if not accounts.hold(connection, account_id, office.worker):
            raise LeaseLost(account_id)
        apply.commit(connection, made, windows, judge_levels=row.backfill_state != "running")
        if made.facts:
            levels.note_heard(connection, account_id, [office.now()], windows)
        note_failures(connection, account_id, made.failures, office.now())
        if also is not None:
            also(connection)
    return len(made.facts)
