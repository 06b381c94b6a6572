"""What only the journal knows: stage history, task history, when and by whom; kept up to date."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from service.portal.book import Book, Call, Change, Deal, Inquiry, Message, Note, Stage, Task
from service.portal.office import unix
from service.portal.reader import JournalReader

SEMANTICS = {"incoming": "P", "open": "P", "won": "S", "lost": "F"}
LEAD_STATUS = {"new": "NEW", "accepted": "CONVERTED", "declined": "JUNK"}
LEAD_SEMANTICS = {"new": "P", "accepted": "S", "declined": "F"}
DONE, WAITING = 5, 2
_CREATED, _MOVED, _FINAL, _PIPELINE = 1, 2, 3, 5


@dataclass(frozen=True)
class StageRow:
    """One row of crm.stagehistory.list; `entity` 2 = deal, 1 = lead."""

    id: int
    entity: Literal[1, 2]
    type: int
    owner: int
    at: datetime
    category: int
    stage: str
    semantic: str


@dataclass(frozen=True)
class TaskRow:
    """One row of tasks.task.history.list."""

    id: int
    at: datetime
    field: str
    before: str | None
    after: str | None
    user: int


@dataclass(frozen=True)
class Line:
    """A row of the call statistics: the call, its own number, when it was written down."""

    id: int
    call: Call
    written_at: datetime


class History(JournalReader):
    """Indexes that the REST methods read."""

    def __init__(self, book: Book) -> None:
        super().__init__(book)
        self.stages: list[StageRow] = []
        self.stages_of: dict[tuple[int, int], list[StageRow]] = {}
        self.tasks: dict[int, list[TaskRow]] = {}
        self.lines: list[Line] = []
        self.moved_by: dict[int, int] = {}
        self.activity: dict[int, tuple[datetime, int]] = {}
        self._task_rows = 16_000

    def read(self, number: int, change: Change) -> None:
        """Take in one change."""
        before, after = change.before, change.after
        match after:
            case Deal():
                self._deal(before if isinstance(before, Deal) else None, after, change)
            case Inquiry():
                self._inquiry(before if isinstance(before, Inquiry) else None, after, change.at)
            case Task():
                self._task(before if isinstance(before, Task) else None, after, change)
            case Call():
                self.lines.append(Line(len(self.lines) + 1, after, change.at))
                self._active(after.deal_id, after.started_at, after.author)
            case Note():
                self._active(after.deal_id, after.created_at, after.author)
            case Message():
                self._active(after.deal_id, after.sent_at, after.author)

    def _deal(self, before: Deal | None, deal: Deal, change: Change) -> None:
        if before is None:
            self.moved_by[deal.id] = change.author
            self._active(deal.id, change.at, change.author)
        elif (before.stage_id, before.pipeline_id) == (deal.stage_id, deal.pipeline_id):
            return
        stage = self.stage_of(deal)
        final = stage.kind in {"won", "lost"}
        moved = before is not None
        kind = _FINAL if final else _MOVED if moved else _CREATED
        if before is not None and before.pipeline_id != deal.pipeline_id:
            kind = _PIPELINE
        self.moved_by[deal.id] = change.author
        number, semantic = len(self.stages) + 1, SEMANTICS[stage.kind]
        category = int(deal.pipeline_id)
        row = StageRow(number, 2, kind, deal.id, change.at, category, stage.id, semantic)
        self._add(row)

    def stage_of(self, deal: Deal) -> Stage:
        """The present stage of a deal."""
        return self.book.pipelines[deal.pipeline_id].stage(deal.stage_id)

    def _inquiry(self, before: Inquiry | None, inquiry: Inquiry, at: datetime) -> None:
        if before is not None and before.outcome == inquiry.outcome:
            return
        kind = _CREATED if before is None else _FINAL
        number, status = len(self.stages) + 1, LEAD_STATUS[inquiry.outcome]
        semantic = LEAD_SEMANTICS[inquiry.outcome]
        self._add(StageRow(number, 1, kind, inquiry.id, at, 0, status, semantic))

    def _add(self, row: StageRow) -> None:
        self.stages.append(row)
        self.stages_of.setdefault((row.entity, row.owner), []).append(row)

    def _task(self, before: Task | None, task: Task, change: Change) -> None:
        for field, old, new in _task_differences(before, task):
            self._task_rows += 2
            row = TaskRow(self._task_rows, change.at, field, old, new, change.author)
            self.tasks.setdefault(task.id, []).append(row)
        self._active(task.deal_id, change.at, change.author)

    def _active(self, deal_id: int | None, at: datetime, author: int) -> None:
        if deal_id is not None and (deal_id not in self.activity or self.activity[deal_id][0] < at):
            self.activity[deal_id] = at, author


def _task_differences(
    before: Task | None, task: Task
) -> Iterator[tuple[str, str | None, str | None]]:
    if before is None:
        yield "NEW", None, None
        return
    if before.due_at != task.due_at:
        yield "DEADLINE", str(unix(before.due_at)), str(unix(task.due_at))
    if before.responsible != task.responsible:
        yield "RESPONSIBLE_ID", str(before.responsible), str(task.responsible)
    if before.text != task.text:
        yield "TITLE", before.text, task.text
    if (before.done_at is None) != (task.done_at is None):
        states = [str(WAITING), str(DONE)]
        old, new = states if task.done_at is not None else reversed(states)
        yield "STATUS", old, new
