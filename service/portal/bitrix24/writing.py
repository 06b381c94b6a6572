"""The REST methods that write: to-dos, tasks, timeline comments, notifications (bitrix24.md 9)."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from service.portal.bitrix24.params import Params, RestError, Result, entries, mapping, whole
from service.portal.book import TO_DO_KIND, Note, Task
from service.portal.office import Office

DEAL = 2
_TASK_KIND = 1
Method = Callable[[Params], Result]


@dataclass(frozen=True)
class Notification:
    """A personal notification; a new one with the same tag takes the place of the old one."""

    id: int
    user: int
    message: str
    tag: str


class Writing:
    """All in the name of the token's owner; called with the portal's lock held."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self.notifications: dict[tuple[int, str], Notification] = {}

    def all(self) -> dict[str, Method]:
        """Methods by their lower-case names."""
        return {
            "crm.activity.todo.add": self._add_todo,
            "tasks.task.add": self._add_task,
            "crm.timeline.comment.add": self._add_comment,
            "im.notify.personal.add": self._notify,
            "im.notify.system.add": self._notify,
        }

    def state(self) -> list[dict[str, Any]]:
        """The notifications that people see."""
        return [asdict(found) for found in self.notifications.values()]

    def author(self) -> int:
        """In whose name the token writes."""
        admin = self._office.admin()
        return admin.id if admin else 1

    def now(self) -> datetime:
        """The portal's instant in whole seconds."""
        return self._office.clock.now().replace(microsecond=0)

    def _deal(self, number: int, refusal: RestError) -> int:
        deal = self._office.book.deals.get(number)
        if deal is None or deal.deleted_at is not None:
            raise refusal
        return number

    def person(self, params: Params, name: str) -> int:
        """A user of this portal."""
        number = whole(params, name, self.author())
        if number not in self._office.book.users:
            raise RestError(400, "100", f"Invalid value {{{number}}} to match with user")
        return number

    def instant(self, text: object) -> datetime:
        """An API time; one without an offset is the portal's own."""
        try:
            found = datetime.fromisoformat(str(text))
        except ValueError:
            raise RestError(400, "WRONG_DATETIME_FORMAT", "Wrong datetime format") from None
        if found.tzinfo is None:  # API times follow the server
            found = found.replace(tzinfo=self._office.zone)
        return found

    def _add_todo(self, params: Params) -> Result:
        if whole(params, "ownerTypeId", 0) != DEAL:
            raise RestError(400, "OWNER_NOT_FOUND", "Owner not found")
        gone = RestError(400, "OWNER_NOT_FOUND", "Owner not found")
        deal = self._deal(whole(params, "ownerId", 0), gone)
        if not params.get("deadline"):
            raise RestError(400, "100", "Could not find value for parameter {deadline}")
        text = str(params.get("title") or params.get("description") or "Дело")
        due_at = self.instant(params["deadline"])
        return Result({"id": self._put(deal, text, due_at, params, TO_DO_KIND)})

    def _add_task(self, params: Params) -> Result:
        fields = mapping(params, "fields", "FIELDS")
        title = str(fields.get("TITLE") or "")
        if not title:
            raise RestError(400, "0", "TASKS_ERROR_EXCEPTION_#8; Не указано название задачи")
        deal: int | None = None
        for bound in entries(fields.get("UF_CRM_TASK")):
            kind, _, digits = str(bound).partition("_")
            if kind == "D" and digits.isdecimal():
                deal = self._deal(int(digits), RestError(400, "0", "Сделка не найдена"))
        due_at = self.instant(fields["DEADLINE"]) if fields.get("DEADLINE") else self.now()
        people = {"responsibleId": fields.get("RESPONSIBLE_ID", self.author())}
        number = self._put(deal, title, due_at, people, _TASK_KIND)
        return Result({"task": {"id": str(number), "title": title}})

    def _put(self, deal: int | None, text: str, due_at: datetime, people: Params, kind: int) -> int:
        responsible, now = self.person(people, "responsibleId"), self.now()
        book, author = self._office.book, self.author()
        task = Task(
            id=book.next_id(), text=text, kind_id=kind, deal_id=deal, responsible=responsible,
            created_at=now, created_by=author, updated_at=now, updated_by=author,
            due_at=due_at.replace(microsecond=0),
        )  # fmt: skip
        return book.set_task(task).id

    def _add_comment(self, params: Params) -> Result:
        fields = mapping(params, "fields", "FIELDS")
        if str(fields.get("ENTITY_TYPE", "")).lower() != "deal":
            raise RestError(400, "", "ENTITY_TYPE is not supported")
        gone = RestError(400, "", "Access denied.")
        deal = self._deal(whole(fields, "ENTITY_ID", 0), gone)
        text = str(fields.get("COMMENT") or "")
        if not text:
            raise RestError(400, "", "Empty comment message.")
        book = self._office.book
        note = Note(book.next_id(), deal, text, self.now(), self.author())
        return Result(book.note(note).id)

    def _notify(self, params: Params) -> Result:
        if not params.get("USER_ID"):
            raise RestError(400, "USER_ID_EMPTY", "User ID is empty")
        message = str(params.get("MESSAGE") or "")
        if not message:
            raise RestError(400, "MESSAGE_EMPTY", "Message can't be empty")
        user, tag = self.person(params, "USER_ID"), str(params.get("TAG") or "")
        number = self._office.book.next_id()
        key = (user, tag or str(number))
        self.notifications[key] = Notification(number, user, message, tag)
        return Result(number)
