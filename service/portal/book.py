"""The book of a simulated CRM: its entities as they are now, and the journal of all that happened.

Everything that changes goes through one of the verbs of `Book`; each verb takes the instant (aware
UTC, whole seconds), the author (a user id, 0 = a robot) and appends one `Change`. The protocol
servers read the entities and turn changes into hooks; the truth counts from the journal alone.
Money is in whole currency units (both CRMs' simulated departments use roubles without kopecks).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from service.portal.invoices import Invoice

StageKind = Literal["incoming", "open", "won", "lost"]
Direction = Literal["in", "out"]
TO_DO_KIND = 9001  # `Task.kind_id` of a Bitrix24 to-do: an activity of the deal, no task


@dataclass(frozen=True)
class Stage:
    """A stage of a pipeline. `id` is the CRM's own (amoCRM number, Bitrix24 code), as text."""

    id: str
    name: str
    sort: int
    kind: StageKind


@dataclass(frozen=True)
class Pipeline:
    """A pipeline with its stages in order."""

    id: str
    name: str
    stages: tuple[Stage, ...]
    sort: int = 1
    is_main: bool = True

    def stage(self, stage_id: str) -> Stage:
        """The stage with this id; KeyError if the pipeline has none such."""
        return {stage.id: stage for stage in self.stages}[stage_id]


@dataclass(frozen=True)
class User:
    """A CRM user (seller, head, administrator)."""

    id: int
    name: str
    group_id: int = 0
    is_active: bool = True
    is_admin: bool = False


@dataclass(frozen=True)
class Contact:
    """A client's person."""

    id: int
    name: str
    phone: str | None
    email: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Deal:
    """A deal as it is now."""

    id: int
    name: str
    pipeline_id: str
    stage_id: str
    amount: int
    responsible: int
    created_at: datetime
    created_by: int
    updated_at: datetime
    updated_by: int
    stage_entered_at: datetime
    closed_at: datetime | None = None
    loss_reason_id: int | None = None
    contact_ids: tuple[int, ...] = ()
    fields: tuple[tuple[int, str], ...] = ()
    source_id: str | None = None
    inquiry_uid: str | None = None
    deleted_at: datetime | None = None


@dataclass(frozen=True)
class Task:
    """A task; `deal_id` None means a task of nobody's deal. All-day: due at 23:59:00 local."""

    id: int
    text: str
    kind_id: int
    deal_id: int | None
    responsible: int
    created_at: datetime
    created_by: int
    updated_at: datetime
    updated_by: int
    due_at: datetime
    done_at: datetime | None = None
    result_text: str | None = None
    deleted_at: datetime | None = None


@dataclass(frozen=True)
class Call:
    """A call, written down when it has ended. `answered` decides; a missed one may have seconds."""

    id: int
    deal_id: int | None
    contact_id: int | None
    direction: Direction
    answered: bool
    seconds: int
    started_at: datetime
    author: int
    uniq: str
    phone: str


@dataclass(frozen=True)
class Note:
    """A text that a user wrote on a deal."""

    id: int
    deal_id: int
    text: str
    created_at: datetime
    author: int


@dataclass(frozen=True)
class Message:
    """A word in a chat (amoCRM) or a mail (Bitrix24); `author` 0: the client."""

    id: int
    deal_id: int
    direction: Direction
    sent_at: datetime
    author: int


@dataclass(frozen=True)
class Inquiry:
    """An incoming inquiry (amoCRM unsorted; Bitrix24 lead) before it became a deal."""

    uid: str
    id: int
    category: str
    source_name: str
    pipeline_id: str
    created_at: datetime
    updated_at: datetime
    name: str
    responsible: int | None = None
    closed_at: datetime | None = None
    outcome: Literal["new", "accepted", "declined"] = "new"
    deal_id: int | None = None


Entity = Deal | Task | Call | Note | Message | Inquiry | Contact | User | Invoice


@dataclass(frozen=True)
class Change:
    """One line of the journal: what happened, to whom, when, by whom; images before and after.

    `verb` is one of: deal_created deal_moved deal_handed_over deal_edited deal_deleted
    deal_restored task_set task_edited task_handed_over task_done task_reopened task_deleted
    called noted messaged inquired inquiry_accepted inquiry_declined user_edited contact_edited
    invoice_put invoice_deleted.
    """

    verb: str
    at: datetime
    author: int
    before: Entity | None
    after: Entity | None


Listener = Callable[[Change], None]


@dataclass
class Book:
    """The state of one simulated portal."""

    pipelines: dict[str, Pipeline] = field(default_factory=dict)
    users: dict[int, User] = field(default_factory=dict)
    contacts: dict[int, Contact] = field(default_factory=dict)
    deals: dict[int, Deal] = field(default_factory=dict)
    tasks: dict[int, Task] = field(default_factory=dict)
    calls: dict[int, Call] = field(default_factory=dict)
    notes: dict[int, Note] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    inquiries: dict[str, Inquiry] = field(default_factory=dict)
    invoices: dict[int, Invoice] = field(default_factory=dict)
    loss_reasons: dict[int, str] = field(default_factory=dict)
    # custom field id -> (pipeline id, stage id) pairs at which the CRM itself requires it
    required: dict[int, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    field_names: dict[int, str] = field(default_factory=dict)
    journal: list[Change] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)
    watched: bool | None = None  # somebody has read the history; None: it is told by the clock
    _last_id: int = 1000

    def next_id(self) -> int:
        """A number that no entity of this portal has had yet."""
        self._last_id += 1
        return self._last_id

    def create_deal(self, deal: Deal) -> Deal:
        """Put a new deal into the book (author = `deal.created_by`, instant = `created_at`)."""
        self.deals[deal.id] = deal
        self._record("deal_created", deal.created_at, deal.created_by, None, deal)
        return deal

    def move_deal(
        self, deal_id: int, stage_id: str, at: datetime, author: int,
        loss_reason_id: int | None = None,
    ) -> Deal:  # fmt: skip
        """Move a deal to another stage of its pipeline, closing or reopening it as it goes."""
        before = self.deals[deal_id]
        kind = self.pipelines[before.pipeline_id].stage(stage_id).kind
        closed = kind in {"won", "lost"}
        after = replace(
            before, stage_id=stage_id, stage_entered_at=at, updated_at=at, updated_by=author,
            closed_at=at if closed else None,
            loss_reason_id=loss_reason_id if kind == "lost" else None,
        )  # fmt: skip
        return self._deal("deal_moved", before, after, at, author)

    def hand_over_deal(self, deal_id: int, responsible: int, at: datetime, author: int) -> Deal:
        """Give a deal to another user."""
        before = self.deals[deal_id]
        after = replace(before, responsible=responsible, updated_at=at, updated_by=author)
        return self._deal("deal_handed_over", before, after, at, author)

    def edit_deal(  # noqa: PLR0913 - the fields of a deal, each by its name
        self,
        deal_id: int,
        at: datetime,
        author: int,
        *,
        name: str | None = None,
        amount: int | None = None,
        fields: dict[int, str] | None = None,
        contact_ids: tuple[int, ...] | None = None,
        loss_reason_id: int | None = None,
    ) -> Deal:
        """Change name, amount, custom fields (whole set), contacts, loss reason; None: as is."""
        before = self.deals[deal_id]
        after = replace(
            before,
            name=before.name if name is None else name,
            amount=before.amount if amount is None else amount,
            fields=before.fields if fields is None else tuple(sorted(fields.items())),
            contact_ids=before.contact_ids if contact_ids is None else contact_ids,
            loss_reason_id=before.loss_reason_id if loss_reason_id is None else loss_reason_id,
            updated_at=at,
            updated_by=author,
        )
        return self._deal("deal_edited", before, after, at, author)

    def delete_deal(self, deal_id: int, at: datetime, author: int) -> Deal:
        """Delete a deal."""
        before = self.deals[deal_id]
        after = replace(before, deleted_at=at, updated_at=at, updated_by=author)
        return self._deal("deal_deleted", before, after, at, author)

    def set_task(self, task: Task) -> Task:
        """Put a new task into the book."""
        self.tasks[task.id] = task
        self._record("task_set", task.created_at, task.created_by, None, task)
        return task

    def edit_task(
        self,
        task_id: int,
        at: datetime,
        author: int,
        *,
        due_at: datetime | None = None,
        text: str | None = None,
    ) -> Task:
        """Move a task's deadline or change its text."""
        before = self.tasks[task_id]
        after = replace(
            before, due_at=due_at or before.due_at, text=before.text if text is None else text,
            updated_at=at, updated_by=author,
        )  # fmt: skip
        return self._task("task_edited", before, after, at, author)

    def hand_over_task(self, task_id: int, responsible: int, at: datetime, author: int) -> Task:
        """Give a task to another user."""
        before = self.tasks[task_id]
        after = replace(before, responsible=responsible, updated_at=at, updated_by=author)
        return self._task("task_handed_over", before, after, at, author)

    def finish_task(self, task_id: int, at: datetime, author: int, result: str | None) -> Task:
        """Close a task, with or without a result text."""
        before = self.tasks[task_id]
        after = replace(before, done_at=at, result_text=result, updated_at=at, updated_by=author)
        return self._task("task_done", before, after, at, author)

    def delete_task(self, task_id: int, at: datetime, author: int) -> Task:
        """Delete a task."""
        before = self.tasks[task_id]
        after = replace(before, deleted_at=at, updated_at=at, updated_by=author)
        return self._task("task_deleted", before, after, at, author)

    def call(self, call: Call, written_at: datetime) -> Call:
        """Write a call down (telephony does it at or after the call's end)."""
        self.calls[call.id] = call
        self._record("called", written_at, call.author, None, call)
        return call

    def note(self, note: Note) -> Note:
        """Write a note on a deal."""
        self.notes[note.id] = note
        self._record("noted", note.created_at, note.author, None, note)
        return note

    def message(self, message: Message) -> Message:
        """A client writes, or somebody of ours to him."""
        self.messages[message.id] = message
        self._record("messaged", message.sent_at, message.author, None, message)
        return message

    def inquire(self, inquiry: Inquiry) -> Inquiry:
        """A client's inquiry arrives."""
        self.inquiries[inquiry.uid] = inquiry
        self._record("inquired", inquiry.created_at, 0, None, inquiry)
        return inquiry

    def accept_inquiry(self, uid: str, deal: Deal, at: datetime, author: int) -> Deal:
        """Accept an inquiry: it becomes `deal` (created at the same instant, `inquiry_uid` set)."""
        before = self.inquiries[uid]
        after = replace(
            before, closed_at=at, updated_at=at, outcome="accepted", deal_id=deal.id,
            responsible=deal.responsible,
        )  # fmt: skip
        self.inquiries[uid] = after
        self._record("inquiry_accepted", at, author, before, after)
        return self.create_deal(deal)

    def decline_inquiry(self, uid: str, at: datetime, author: int) -> Inquiry:
        """Decline an inquiry."""
        before = self.inquiries[uid]
        after = replace(before, closed_at=at, updated_at=at, outcome="declined")
        self.inquiries[uid] = after
        self._record("inquiry_declined", at, author, before, after)
        return after

    def put_invoice(self, invoice: Invoice) -> Invoice:
        """Add, change or (with `deleted_at`) delete an invoice, at its `updated_at`."""
        before = self.invoices.get(invoice.id)
        self.invoices[invoice.id] = invoice
        verb = "invoice_put" if invoice.deleted_at is None else "invoice_deleted"
        self._record(verb, invoice.updated_at, invoice.updated_by, before, invoice)
        return invoice

    def edit_user(self, user: User, at: datetime, author: int) -> User:
        """Add or change a user (switching off `is_active` = dismissal)."""
        before = self.users.get(user.id)
        self.users[user.id] = user
        self._record("user_edited", at, author, before, user)
        return user

    def edit_contact(self, contact: Contact, at: datetime, author: int) -> Contact:
        """Add or change a contact."""
        before = self.contacts.get(contact.id)
        self.contacts[contact.id] = contact
        self._record("contact_edited", at, author, before, contact)
        return contact

    def _deal(self, verb: str, before: Deal, after: Deal, at: datetime, author: int) -> Deal:
        self.deals[after.id] = after
        self._record(verb, at, author, before, after)
        return after

    def _task(self, verb: str, before: Task, after: Task, at: datetime, author: int) -> Task:
        self.tasks[after.id] = after
        self._record(verb, at, author, before, after)
        return after

    def _record(
        self, verb: str, at: datetime, author: int, before: Entity | None, after: Entity | None
    ) -> None:
        change = Change(verb, at, author, before, after)
        self.journal.append(change)
        for listener in self.listeners:
            listener(change)
