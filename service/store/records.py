"""Tables of what people and other systems add, and of what is said to them.

Same conventions as in `tables`. API keys, subscriptions and the audit log belong to the
installation, not to one account.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Text
from sqlmodel import Field, SQLModel

from service.store.columns import (
    account_column,
    instant,
    json_column,
    key_column,
    number,
    number_key,
    where,
)

IS_MUTE = "action = 'mute'"  # of ix_remark_mute


class Remark(SQLModel, table=True):
    """What a person said about a rule and subject: a fact, never a derived column."""

    __tablename__ = "remark"
    account_id: str = account_column()
    id: str = key_column(32)
    rule: str
    subject_kind: str
    subject_id: str
    action: str  # ack | unack | mute | unmute | comment | appeal | granted | denied
    at: int = instant()
    until: int | None = instant(nullable=True)
    text: str = Field(default="", sa_column=Column(Text, nullable=False))
    author: str
    violation_id: str
    __table_args__ = (
        Index("ix_remark_subject", "account_id", "rule", "subject_kind", "subject_id"),
        Index(
            "ix_remark_mute",
            "account_id",
            "subject_id",
            **where(IS_MUTE),
        ),
    )


class MuteRow(SQLModel, table=True):
    """A mute of a scope; an empty text = any. `until`: as it was said; `ends_at`: as it is."""

    __tablename__ = "mute"
    account_id: str = account_column()
    id: str = key_column(32)
    rule: str = ""
    deal: str = ""
    seller: str = ""
    pipeline: str = ""
    stage: str = ""
    at: int = instant()
    until: int = instant()
    ends_at: int = instant()
    reason: str = Field(sa_column=Column(Text, nullable=False))
    author: str
    ended_by: str | None = None
    __table_args__ = (
        Index("ix_mute_deal", "account_id", "deal"),
        Index("ix_mute_end", "account_id", "ends_at"),
    )


class AbsenceRow(SQLModel, table=True):
    """Days (`first`, `last`: yyyymmdd, both inclusive) on which a seller is away."""

    __tablename__ = "absence"
    account_id: str = account_column()
    id: str = key_column(32)
    seller: str
    first: int = Field(sa_column=Column(Integer, nullable=False))
    last: int = Field(sa_column=Column(Integer, nullable=False))
    kind: str  # vacation | sick | other
    deputy: str = ""
    at: int = instant()
    author: str
    removed_at: int | None = instant(nullable=True)
    removed_by: str | None = None


class TimelineDirty(SQLModel, table=True):
    """Timelines to derive again because of what people said. `generation` grows with each mark."""

    __tablename__ = "timeline_dirty"
    account_id: str = account_column()
    timeline: str = key_column(80)
    generation: int = number(default=1)


class LevelDirty(SQLModel, table=True):
    """Sellers whose levels have to be judged again, from which instant on."""

    __tablename__ = "level_dirty"
    account_id: str = account_column()
    seller: str = key_column()
    from_at: int = instant()


class RuleFileRow(SQLModel, table=True):
    """A version of an account's own rule file, with who, when and why."""

    __tablename__ = "rule_file"
    account_id: str = account_column()
    version: int = number_key()
    at: int = instant()
    author: str
    reason: str = Field(default="", sa_column=Column(Text, nullable=False))
    effective_from: int | None = instant(nullable=True)  # NULL = new rules since ever, others `at`
    text: str = Field(sa_column=Column(Text, nullable=False))  # YAML, as it was given
    shared: Any = json_column()  # rules that the installation's file changed then; mostly []


class Plan(SQLModel, table=True):
    """A planned figure; neither team nor seller = the whole account."""

    __tablename__ = "plan"
    account_id: str = account_column()
    metric: str = key_column(32)
    period: str = key_column(10)  # 2026, 2026-Q4, 2026-11, 2026-W48, 2026-11-23
    team: str = key_column()
    seller: str = key_column()
    value: int = number()
    currency: str = ""
    status: str = "draft"  # draft | approved | closed
    locked: bool = False
    version: int = 1
    at: int = instant()
    author: str
    revision: int = number(default=0)
    __table_args__ = (Index("ix_plan_revision", "account_id", "revision"),)


class PlanVersion(SQLModel, table=True):
    """A plan row as it was written: who, when, why; the newest is the row itself."""

    __tablename__ = "plan_version"
    account_id: str = account_column()
    metric: str = key_column(32)
    period: str = key_column(10)
    team: str = key_column()
    seller: str = key_column()
    version: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    value: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    status: str
    reason: str = ""
    at: int = instant()
    author: str


class Alert(SQLModel, table=True):
    """A message to one receiver (the outbox). `key` is its idempotency key."""

    __tablename__ = "alert"
    account_id: str = account_column()
    id: str = key_column(32)
    key: str
    receiver: str
    channel: str
    kind: str  # opened | resolved | digest | event
    state: str = "pending"  # pending | sent | acked | resolved | suppressed | failed
    reason: str = ""
    text: str = Field(sa_column=Column(Text, nullable=False))
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    violations: Any = json_column()
    event_at: int = instant()  # of the earliest breach or resolution told
    created_at: int = instant()
    sent_at: int | None = instant(nullable=True)
    next_try_at: int | None = instant(nullable=True)
    attempts: int = 0
    __table_args__ = (
        Index("uq_alert_key", "account_id", "key", unique=True),
        Index("ix_alert_created", "account_id", "created_at"),
        Index(
            "ix_alert_next",
            "account_id",
            "next_try_at",
            **where("next_try_at IS NOT NULL"),
        ),
    )


class NudgeRow(SQLModel, table=True):
    """Something to write into the CRM because of a violation; `mark` finds it again there."""

    __tablename__ = "nudge"
    account_id: str = account_column()
    violation_id: str = key_column(32)
    kind: str  # task | note | chat
    deal: str
    seller: str
    mark: str
    text: str = Field(sa_column=Column(Text, nullable=False))
    state: str = "pending"  # pending | done | dropped | failed
    reason: str = ""
    crm_id: str | None = None
    attempts: int = 0
    created_at: int = instant()
    next_try_at: int | None = instant(nullable=True)
    __table_args__ = (
        Index(
            "ix_nudge_next",
            "account_id",
            "next_try_at",
            **where("next_try_at IS NOT NULL"),
        ),
    )


class Delivery(SQLModel, table=True):
    """One attempt to send an alert."""

    __tablename__ = "delivery"
    account_id: str = account_column()
    alert_id: str = key_column(32)
    attempt: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    at: int = instant()
    outcome: str  # sent | failed
    http_status: int | None = None
    latency_ms: int = 0
    error: str = Field(default="", sa_column=Column(Text, nullable=False))


class RuleHealth(SQLModel, table=True):
    """A rule that failed on a subject: a visible state, never only a log line."""

    __tablename__ = "rule_health"
    account_id: str = account_column()
    rule: str = key_column()
    error: str = Field(sa_column=Column(Text, nullable=False))
    subject: str
    at: int = instant()
    failures: int = 1


class Subscription(SQLModel, table=True):
    """An outgoing webhook. `accounts` NULL = all that the key saw when it was made."""

    __tablename__ = "subscription"
    id: str = key_column(32)
    key_id: str
    url: str = Field(sa_column=Column(Text, nullable=False))
    events: Any = json_column()
    accounts: Any = json_column(nullable=True)
    filters: Any = json_column()
    secret: str = Field(sa_column=Column(Text, nullable=False))  # encrypted
    old_secret: str = Field(default="", sa_column=Column(Text, nullable=False))
    old_secret_until: int | None = instant(nullable=True)
    status: str = "active"  # active | disabled
    failing_since: int | None = instant(nullable=True)
    created_at: int = instant()


class ApiKey(SQLModel, table=True):
    """An API key: only its hash is kept."""

    __tablename__ = "api_key"
    id: str = key_column(32)
    name: str
    prefix: str
    hash: str = Field(index=True, unique=True)
    scopes: Any = json_column()
    accounts: Any = json_column()  # list of account ids, or ["*"]
    created_at: int = instant()
    expires_at: int | None = instant(nullable=True)
    revoked_at: int | None = instant(nullable=True)
    last_used_at: int | None = instant(nullable=True)


class Idempotency(SQLModel, table=True):
    """The first answer to a POST with an Idempotency-Key, for 24 h."""

    __tablename__ = "idempotency"
    key_id: str = key_column(32)
    path: str = key_column(200)
    key: str = key_column(255)
    body_hash: str
    at: int = instant()
    status: int | None = None  # NULL = the first one is still running
    content_type: str = ""
    answer: bytes = Field(default=b"", sa_column=Column(LargeBinary, nullable=False))
    location: str = ""


class Audit(SQLModel, table=True):
    """Who changed what, when; never a secret."""

    __tablename__ = "audit"
    id: str = key_column(32)
    at: int = instant(index=True)
    who: str
    what: str
    account_id: str = ""
    before: Any = json_column(nullable=True)
    after: Any = json_column(nullable=True)
    request_id: str = ""
    address: str = ""


class Setting(SQLModel, table=True):
    """Values that Dozor keeps for itself over restarts (for example the cursor-signing key)."""

    __tablename__ = "setting"
    name: str = key_column()
    value: str = Field(sa_column=Column(Text, nullable=False))


class PortalBudget(SQLModel, table=True):
    """How much of a portal's rate limit is used up: one row for all processes and accounts.

    Microseconds of the portal's time. `busy_until`: when all requests reserved so far have left
    (a leaky bucket is as full as that lies ahead); `paused_until`: the portal asked for a pause.
    """

    __tablename__ = "portal_budget"
    portal: str = key_column(200)  # crm and host
    busy_until: int = number(default=0)
    paused_until: int = number(default=0)


class ContactKey(SQLModel, table=True):
    """Keyed hashes of the clients' phones and e-mails, by their newest images."""

    __tablename__ = "contact_key"
    account_id: str = account_column()
    key: str = key_column(24)
    contact_id: str = key_column()
    __table_args__ = (
        Index("ix_contact_key_contact", "account_id", "contact_id"),
        {"sqlite_with_rowid": False},
    )


class LeadKey(SQLModel, table=True):
    """Keyed hashes of who asked, by the newest images of inquiries; `at`: when it came."""

    __tablename__ = "lead_key"
    account_id: str = account_column()
    key: str = key_column(24)
    at: int = number_key()
    lead_id: str = key_column()
    __table_args__ = (
        Index("ix_lead_key_lead", "account_id", "lead_id"),
        {"sqlite_with_rowid": False},
    )


class DealEdit(SQLModel, table=True):
    """Who changed which deal when (derived: one row for each fact that tells it)."""

    __tablename__ = "deal_edit"
    account_id: str = account_column()
    author: str = key_column()
    at: int = number_key()
    deal: str = key_column()
    __table_args__ = ({"sqlite_with_rowid": False},)


class BulkChange(SQLModel, table=True):
    """A stretch in which one author changed very many deals (derived from `deal_edit`)."""

    __tablename__ = "bulk_change"
    account_id: str = account_column()
    author: str = key_column()
    since: int = number_key()
    until: int = instant()
    deals: int = number()
    __table_args__ = ({"sqlite_with_rowid": False},)


class Heard(SQLModel, table=True):
    """A stretch in which something came from the portal at least every ten minutes."""

    __tablename__ = "heard"
    account_id: str = account_column()
    since: int = number_key()
    until: int = instant()
