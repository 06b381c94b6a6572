"""All tables and their indexes, nothing else.

`account_id` is the first column of every primary key and index of tenant data. Instants are whole
seconds since 1970 (BigInteger, see `domain.instant`); `day` is a local date as yyyymmdd; money is
minor units. Ids are the CRM's own (without the account prefix). An empty key text means "none".
"""

from typing import Any

from sqlalchemy import Column, Index, Integer, LargeBinary
from sqlmodel import Field, SQLModel

from service.domain.steps import ACTIONS, APART, BY_AMOUNT, LEVELS
from service.store.columns import (
    account_column,
    instant,
    json_column,
    key_column,
    number,
    number_key,
    small,
    where,
)

IS_OPEN = "state IN ('pending', 'parked')"  # of ix_inbox_open; the many done rows are not in it
IS_APART = f"slot = '{APART}' AND metric NOT IN ('stage_open', 'pipeline_value')"
"""Of ix_contribution_apart: values and cohorts, without the many steps that are read by deal."""
NEVER_MUTED, EVER_MUTED = "muted = '[]'", "muted <> '[]'"  # rollups count the former
LONG_SECONDS = 92 * 86_400
IS_LONG = f"closed_at - born_at > {LONG_SECONDS}"  # of ix_deal_long
IS_EXPECTED = "expected_close_on IS NOT NULL"  # of ix_deal_expected
STEPPED = (*LEVELS, *BY_AMOUNT, ACTIONS)
_PLACE = ("seller", "pipeline")
IS_LEVEL = f"metric IN ({', '.join(repr(name) for name in STEPPED)})"  # of ix_contribution_level


class Account(SQLModel, table=True):
    """One connected CRM portal."""

    __tablename__ = "account"
    account_id: str = account_column()
    name: str
    crm: str
    base_url: str
    status: str = "active"  # active | disabled | error
    error: str | None = None
    hook_hash: str = Field(index=True)  # SHA-256 of the hook token, hex
    secrets: str = ""  # encrypted JSON of the CRM credentials
    connected_at: int = instant()
    claimed_by: str = ""  # the worker that has this account now
    claimed_until: int = number(default=0)  # real-time lease (unix seconds): a dead worker's ends
    external_id: str | None = None  # the portal's own id, learned from its directory
    subdomain: str | None = None
    last_event_at: int | None = instant(nullable=True)
    data_version: int = number(default=0)  # grows with each change of derived data (ETag)
    config_version: int = number(default=1)  # grows with settings, directory, rules
    judged_version: int = number(default=1)  # config version that all timelines are judged by
    judged_cursor: str | None = None  # timeline up to which a re-judging has come
    judged_done: int = number(default=0)  # timelines judged by it so far
    judged_total: int = number(default=0)  # of so many, counted when it began
    directory_at: int | None = instant(nullable=True)  # last successful read
    directory_wanted: bool = Field(default=True)  # to be read (again)
    backfill_cursor: Any = json_column(nullable=True)
    backfill_state: str = "none"  # none | running | done
    changes_cursor: Any = json_column(nullable=True)
    synced_at: int | None = instant(nullable=True)  # all that changed before is known
    sync_until: int = number(default=0)  # real-time lease of a reconciliation
    sync_error: str | None = None
    surveyed_at: int | None = instant(nullable=True)  # ids were last compared
    hook_wanted: bool = Field(default=False)  # subscribed over the API: to be kept so
    hook_state: str = "unknown"  # on | off | missing | unknown: as the CRM last said
    hook_checked_at: int = number(default=0)
    access_ends_at: int | None = instant(nullable=True)  # of a long-lived token
    down_since: int | None = instant(nullable=True)  # the portal does not answer
    down_until: int | None = instant(nullable=True)  # it is left alone until then
    down_reason: str | None = None
    error_told: str | None = None  # the error that ops have been told of
    tokens: str = ""  # encrypted JSON of what OAuth rotates
    tokens_until: int = number(default=0)  # real-time lease of whoever renews them
    hooks_received: int = number(default=0)
    drift: int = number(default=0)  # timelines whose stored results a patrol contradicted
    hooks_lost: int = number(default=0)  # changes that only reconciliation brought
    mute_version: int = number(default=0)  # grows with mutes: what was derived before is stale
    config_revision: int = number(default=0)  # data version of the last change of settings


class AccountSettings(SQLModel, table=True):
    """A version of an account's settings document (design 8.2a), with who and when."""

    __tablename__ = "account_settings"
    account_id: str = account_column()
    version: int = number_key()
    at: int = instant()
    author: str
    document: Any = json_column()


class DirectoryRow(SQLModel, table=True):
    """The directory of a portal (domain.directory.Directory as JSON)."""

    __tablename__ = "directory"
    account_id: str = account_column()
    at: int = instant()
    document: Any = json_column()


class Inbox(SQLModel, table=True):
    """A raw hook. `id` grows with the time of receipt."""

    __tablename__ = "inbox"
    account_id: str = account_column()
    id: int = number_key()
    received_at: int = instant()
    content_type: str
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    state: str = "pending"  # pending | done | parked | dropped
    reason: str | None = None
    facts: int = 0


Index(
    "ix_inbox_open", *(Inbox.__table__.c[name] for name in ("account_id", "state", "id")),  # type: ignore[attr-defined]
    **where(IS_OPEN),
)  # fmt: skip


class TouchedRow(SQLModel, table=True):
    """A subject to be fetched from the CRM. `since`: the first touch not yet answered."""

    __tablename__ = "touched"
    account_id: str = account_column()
    kind: str = key_column(16)
    id: str = key_column()
    generation: int = number(default=1)  # grows with each touch: a fetch clears what it saw
    since: int = instant()
    next_try_at: int = instant()
    attempts: int = 0


class FactRow(SQLModel, table=True):
    """A version of a subject. `timeline`: where it is judged (`deal:<id>`, `task:<id>`, ...)."""

    __tablename__ = "fact"
    account_id: str = account_column()
    timeline: str = key_column(80)
    kind: str = key_column(16)
    id: str = key_column()
    at: int = number_key()
    rank: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    digest: str = key_column(18)
    seen_at: int = instant()
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    __table_args__ = (
        Index("ix_fact_subject", "account_id", "kind", "id"),
        {"sqlite_with_rowid": False},
    )


class DealContact(SQLModel, table=True):
    """Which contacts a deal has now (union over its latest image)."""

    __tablename__ = "deal_contact"
    account_id: str = account_column()
    contact_id: str = key_column()
    deal_id: str = key_column()
    __table_args__ = (
        Index("ix_deal_contact_deal", "account_id", "deal_id"),
        {"sqlite_with_rowid": False},
    )


class Deal(SQLModel, table=True):
    """A deal as it is now (derived)."""

    __tablename__ = "deal"
    account_id: str = account_column()
    id: str = key_column()
    name: str
    pipeline: str
    stage: str
    status: str  # open | won | lost | incoming
    seller: str
    source: str | None = None
    amount: int = number(default=0)
    currency: str
    born_at: int | None = instant(nullable=True)
    created_at: int | None = instant(nullable=True)
    updated_at: int = instant()
    stage_since: int | None = instant(nullable=True)
    closed_at: int | None = instant(nullable=True)
    expected_close_on: str | None = None  # local date; only of one that is open and counts
    loss_reason: str | None = None
    open_tasks: int = 0
    next_task_at: int | None = instant(nullable=True)
    last_touch_at: int | None = instant(nullable=True)
    first_touch_at: int | None = instant(nullable=True)
    has_contact: bool = False
    deleted: bool = False
    revision: int = number(default=0)  # data version of the last change (change feed)
    presence: Any = json_column()  # when it was open: [start, end, pipeline, seller] each
    wins: Any = json_column(nullable=True)  # when it was won: [start, end] each; NULL = nowhere
    __table_args__ = (
        Index("ix_deal_seller", "account_id", "seller", "status"),
        Index("ix_deal_created", "account_id", "created_at"),
        Index("ix_deal_revision", "account_id", "revision", "id"),
        Index("ix_deal_expected", "account_id", "expected_close_on", **where(IS_EXPECTED)),
        Index("ix_deal_closed", "account_id", "closed_at", "born_at", "id"),
        Index("ix_deal_long", "account_id", "closed_at", "born_at", "id", **where(IS_LONG)),
    )  # fmt: skip


class Task(SQLModel, table=True):
    """A task as it is now (derived)."""

    __tablename__ = "task"
    account_id: str = account_column()
    id: str = key_column()
    timeline: str
    deal: str
    seller: str
    task_kind: str
    title: str
    is_open: bool
    is_all_day: bool
    due_at: int | None = instant(nullable=True)
    created_at: int | None = instant(nullable=True)
    done_at: int | None = instant(nullable=True)
    updated_at: int = instant()
    has_result: bool = False
    moves: int = 0
    revision: int = number(default=0)
    __table_args__ = (
        Index("ix_task_revision", "account_id", "revision", "id"),
        Index("ix_task_timeline", "account_id", "timeline"),
        Index("ix_task_seller", "account_id", "seller", "is_open"),
    )


class Violation(SQLModel, table=True):
    """An interval in which a subject broke a rule (derived). `resolved_at` NULL = not foreseen."""

    __tablename__ = "violation"
    account_id: str = account_column()
    id: str = key_column(32)
    timeline: str
    rule: str
    rule_version: str
    severity: str
    notice: bool = False
    subject_kind: str
    subject_id: str
    deal: str
    pipeline: str
    stage: str
    seller: str  # responsible at the breach
    owner: str  # responsible now
    amount: int = number(default=0)
    currency: str
    since: int = instant()
    held_since: int = instant()
    effective_from: int = instant()
    breach_at: int = instant()
    resolved_at: int | None = instant(nullable=True)
    resolution: str | None = None  # fixed | moved | gone | rule_changed
    values: Any = json_column()  # {attribute: value} that proved it, and texts for the title
    muted: Any = json_column()  # [[start, end], ...] inside the interval, apart and in order
    due_at: int | None = instant(nullable=True)  # when the tick has to look at it (work mark)
    revision: int = number(default=0)
    breach_day: int = small()  # local days, and what of their months the seller had worked by then
    breach_worked: int = small()
    resolved_day: int = small()
    resolved_worked: int = small()
    resolved_after: int = small()  # seconds that the seller worked from the breach on
    __table_args__ = (
        Index("ix_violation_revision", "account_id", "revision", "id"),
        Index("ix_violation_timeline", "account_id", "timeline"),
        Index("ix_violation_open", "account_id", "breach_at", **where("resolved_at IS NULL")),
        Index("ix_violation_past", "account_id", "resolved_at", "breach_at"),
        Index("ix_violation_breach", "account_id", "breach_at"),
        Index("ix_violation_due", "account_id", "due_at", **where("due_at IS NOT NULL")),
        Index("ix_violation_subject", "account_id", "rule", "subject_kind", "subject_id"),
        Index("ix_violation_muted", "account_id", "breach_at", **where(EVER_MUTED)),
    )  # fmt: skip


class Announcement(SQLModel, table=True):
    """The journal of what the tick has claimed: said once, whatever is derived again."""

    __tablename__ = "announcement"
    account_id: str = account_column()
    violation_id: str = key_column(32)
    event: str = key_column(16)  # opened | resolved | void
    at: int = instant()
    rule: str
    subject_kind: str
    subject_id: str
    breach_at: int = instant()
    violation: Any = json_column()  # the row as it was claimed
    __table_args__ = (
        Index("ix_announcement_subject", "account_id", "rule", "subject_kind", "subject_id"),
    )


class Contribution(SQLModel, table=True):
    """What a timeline adds to a metric part at an instant (derived)."""

    __tablename__ = "contribution"
    account_id: str = account_column()
    timeline: str = key_column(80)
    metric: str = key_column(32)
    subject_kind: str = key_column(16)
    subject_id: str = key_column()
    key: str = key_column(40)  # tells contributions of one subject to one metric apart
    at: int = instant()
    day: int = Field(sa_column=Column(Integer, nullable=False))
    seller: str
    pipeline: str
    stage: str
    source: str
    value: int = number()
    currency: str
    slot: str = ""  # of a level that is counted apart; in no rollup
    reason: str = ""  # of a loss or a refusal: its id
    age: int = number(default=0)  # of a cohort: until it came to that; of a level: `monthtime.into`
    __table_args__ = (
        Index("ix_contribution_day", "account_id", "metric", "day", *_PLACE, "at", "value"),
        Index(
            "ix_contribution_level", "account_id", "metric", "slot", "seller", "day", "at", "value",
            **where(IS_LEVEL),
        ),
        Index(
            "ix_contribution_apart", "account_id", "metric", "day", *_PLACE, "currency", "at",
            "age", "value",
            **where(IS_APART),
        ),
        {"sqlite_with_rowid": False},
    )  # fmt: skip


class TimelineMark(SQLModel, table=True):
    """Fingerprints of what is derived from a timeline: what differs is looked at."""

    __tablename__ = "timeline_mark"
    account_id: str = account_column()
    timeline: str = key_column(80)
    settings: int = number()
    facts: int = number()
    verdicts: int = number()
    __table_args__ = ({"sqlite_with_rowid": False},)
