"""What a CRM can tell: facts.

A `Fact` says: at its own instant `at`, subject (`kind`, `id`) was seen with these attributes. The
body is **sparse**: a key that stands in it was told (None = "the CRM says it is empty"); a key that
is absent was not told and keeps its earlier value. So a whole image, a row of a stage history
(`{"pipeline", "stage"}`), a hand-over (`{"responsible"}`) and a deletion (`{"deleted": True}`) are
all the same thing: a version of the subject. Versions are ordered by (at, rank, digest), never by
arrival; the same set of facts in any order gives the same timeline.

Ids are the CRM's own as text, unique within account and kind (decisions.md 33): deal `4815162`,
amoCRM task `9001`, Bitrix24 task `t15`, Bitrix24 activity as task `a15`, call `c414283887`,
inquiry by uid or id, contact `77`, company `co77`, Bitrix24 invoice `i315`, amoCRM invoice (of list
6640) `b6640.17`.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from hashlib import blake2b
from typing import Any, TypedDict

import msgspec

from service.domain.instant import Instant


class Kind(StrEnum):
    """What a fact is about."""

    DEAL = "deal"
    TASK = "task"
    CALL = "call"
    NOTE = "note"
    LEAD = "lead"  # an incoming inquiry
    CONTACT = "contact"
    MESSAGE = "message"  # a mail, an SMS, a word in a chat
    PAYMENT = "payment"  # a document by which money comes: an invoice


class Rank(IntEnum):
    """Who outranks whom at the same instant: the higher one is applied later."""

    HISTORY = 0  # a row of the CRM's own history or events
    HOOK = 1
    FETCHED = 2


class DealBody(TypedDict, total=False):
    """Attributes of a deal version."""

    name: str
    pipeline: str  # CRM pipeline id
    stage: str  # CRM stage id within the pipeline
    amount: int  # minor units
    currency: str
    responsible: str | None  # CRM user id
    created_at: Instant
    created_by: str  # CRM user id, "0" = robot, integration, form
    author: str | None  # who made this version, "0" = robot; None unknown
    loss_reason: str | None  # id; told only by REST
    contacts: list[str]  # contact ids (whole set)
    company: str | None  # "co<id>"
    tags: list[str]
    fields: dict[str, str]  # custom field id -> value, filled ones only (the whole set)
    fields_changed: dict[str, str]  # single custom fields; "" = emptied; the others stay
    source: str | None
    inquiry: str | None  # id of the inquiry (kind lead) it was born of
    accepted_at: Instant  # instant of acceptance from incoming
    inquired_at: Instant  # when that inquiry had come
    expected_close_on: str | None  # local date
    deleted: bool
    restored: bool
    merged_into: str


class TaskBody(TypedDict, total=False):
    """Attributes of a task version."""

    text: str
    task_kind: str  # id of the task type
    deal: str | None  # deal id it hangs on
    contact: str | None
    responsible: str | None
    created_at: Instant
    created_by: str
    author: str | None
    due_at: Instant | None  # None = no deadline
    is_all_day: bool
    starts_at: Instant | None  # of a meeting or a slot in the calendar
    ends_at: Instant | None
    is_open: bool
    is_deferred: bool  # Bitrix24 statuses 4 and 6: open, but not overdue
    result: str | None  # result text (cut to 500 characters)
    deleted: bool


class CallBody(TypedDict, total=False):
    """Attributes of a call."""

    deal: str | None
    lead: str | None  # the inquiry it was made for
    contact: str | None
    client: str | None  # keyed hash of the number of somebody whom the CRM does not know
    direction: str  # "in" | "out"
    answered: bool
    seconds: int
    started_at: Instant
    author: str | None  # who talked
    uniq: str | None  # PBX id: the same call told twice
    deleted: bool


class NoteBody(TypedDict, total=False):
    """Attributes of a text note or timeline comment by a user."""

    deal: str | None
    contact: str | None
    text: str  # cut to 500 characters
    author: str | None
    created_at: Instant
    deleted: bool


class MessageBody(TypedDict, total=False):
    """Attributes of a message; never its text."""

    deal: str | None
    contact: str | None
    direction: str  # "in" | "out" | "closed": the conversation needs no answer
    author: str | None  # of ours who wrote it, "0" = a bot
    created_at: Instant
    deleted: bool


class LeadBody(TypedDict, total=False):
    """Attributes of an incoming inquiry."""

    state: str  # new | in_work | accepted | declined | processed (it is not known how)
    category: str
    source: str | None
    pipeline: str | None
    name: str
    created_at: Instant
    closed_at: Instant | None
    decline_reason: str | None  # where the CRM has one
    deal: str | None
    card: str | None  # the deal that it will be if it is accepted, where the CRM says so before
    responsible: str | None
    author: str | None
    keys: list[str]  # keyed hashes of who asked (domain.clientkeys), the whole set
    deleted: bool


class ContactBody(TypedDict, total=False):
    """Of a client's person or company only what rules need: never the values themselves."""

    has_phone: bool
    has_email: bool
    keys: list[str]  # keyed hashes of phones and e-mails (domain.clientkeys), the whole set
    deleted: bool


class Paid(TypedDict):
    """Money that came at one instant; below 0 it was given back."""

    at: Instant | None  # None: nobody says; when it was first told
    amount: int  # minor units
    currency: str


class PaymentBody(TypedDict, total=False):
    """Attributes of a document by which money comes."""

    deal: str | None
    payments: list[Paid]  # all that stand; none = nothing is paid (any more)
    deleted: bool


@dataclass(frozen=True, slots=True)
class Fact:
    """One version of one subject, as the CRM told it. `body`: one of the TypedDicts above."""

    kind: Kind
    id: str
    at: Instant
    body: dict[str, Any]
    rank: Rank = Rank.HOOK
    seen_at: Instant = 0  # for fetched images: when the CRM showed it; 0 otherwise

    def packed(self) -> bytes:
        """The body as canonical JSON (sorted keys): equal bodies give equal bytes."""
        return _ENCODER.encode(self.body)

    def digest(self) -> str:
        """Identity of the version's content among versions of one subject at one instant."""
        return blake2b(self.packed(), digest_size=9).hexdigest()


@dataclass(frozen=True, slots=True)
class Touched:
    """A subject that changed, of which only the id is known: it has to be fetched."""

    kind: Kind
    id: str


_ENCODER = msgspec.json.Encoder(order="deterministic")
