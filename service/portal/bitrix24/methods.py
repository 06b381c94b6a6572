"""The REST methods that read the CRM: deals, leads, people, stages, calls, tasks, comments."""

from collections.abc import Callable, Iterable
from typing import Any

from service.portal.bitrix24 import calls, fields, tasks
from service.portal.bitrix24.log import History, StageRow
from service.portal.bitrix24.params import Params, RestError, Result, entries, mapping, whole
from service.portal.bitrix24.params import subject as subject_id
from service.portal.bitrix24.table import Column, Table, Wanted
from service.portal.book import TO_DO_KIND, Task
from service.portal.office import Office

Method = Callable[[Params], Result]
_NOT_FOUND = RestError(400, "", "Not found")
_UF_TASK = ("UF_CRM_TASK", "UF_TASK_WEBDAV_FILES", "UF_MAIL_MESSAGE")


def wanted(params: Params) -> Wanted:
    """What a crm.* list method was asked."""
    names = ("filter", "FILTER"), ("order", "ORDER"), ("select", "SELECT")
    selected = next((params[name] for name in names[2] if name in params), None)
    return Wanted(
        filter=mapping(params, *names[0]),
        order=mapping(params, *names[1]),
        select=[str(name) for name in entries(selected)],
        start=whole(params, "start", 0),
    )


class Methods:
    """The reading methods of one portal; all are called with the portal's lock held."""

    def __init__(self, office: Office, history: History) -> None:
        self._office = office
        self._book = office.book
        self._history = history
        self._made_at = -1
        self._made: list[calls.Activity] = []

    def all(self) -> dict[str, Method]:
        """Methods by their lower-case names."""
        return {
            "crm.deal.list": self.deal_list,
            "crm.deal.get": self.deal_get,
            "crm.deal.contact.items.get": self.deal_contacts,
            "crm.lead.list": self.lead_list,
            "crm.lead.get": self.lead_get,
            "crm.contact.list": self.contact_list,
            "crm.contact.get": self.contact_get,
            "crm.company.list": self.company_list,
            "crm.company.get": self.company_get,
            "crm.stagehistory.list": self.stage_history,
            "crm.activity.list": self.activity_list,
            "crm.activity.get": self.activity_get,
            "crm.activity.binding.list": self.activity_bindings,
            "crm.timeline.comment.list": self.comment_list,
            "crm.timeline.comment.get": self.comment_get,
            "voximplant.statistic.get": self.call_statistics,
            "tasks.task.list": self.task_list,
            "tasks.task.get": self.task_get,
            "tasks.task.history.list": self.task_history,
        }

    def _deals(self) -> Table[Any]:
        """As the vendor has it: `*` does not name the user fields."""
        return Table(fields.deal_fields(self._history), self._office.zone)

    def deal_list(self, params: Params) -> Result:
        """crm.deal.list."""
        rows = (deal for deal in self._book.deals.values() if deal.deleted_at is None)
        return self._deals().listing(rows, wanted(params))

    def deal_get(self, params: Params) -> Result:
        """crm.deal.get."""
        deal = self._book.deals.get(subject_id(params, "id", "ID"))
        if deal is None or deal.deleted_at is not None:
            raise _NOT_FOUND
        return Result(self._deals().render(deal))

    def deal_contacts(self, params: Params) -> Result:
        """crm.deal.contact.items.get: the first one is the primary."""
        deal = self._book.deals.get(subject_id(params, "id", "ID"))
        if deal is None or deal.deleted_at is not None:
            raise _NOT_FOUND
        rows = [
            {
                "CONTACT_ID": contact_id,
                "SORT": 10 * (place + 1),
                "ROLE_ID": 0,
                "IS_PRIMARY": "N" if place else "Y",
            }
            for place, contact_id in enumerate(deal.contact_ids)
        ]
        return Result(rows)

    def lead_list(self, params: Params) -> Result:
        """crm.lead.list."""
        table = Table(fields.lead_fields(), self._office.zone)
        return table.listing(self._book.inquiries.values(), wanted(params))

    def lead_get(self, params: Params) -> Result:
        """crm.lead.get."""
        number = subject_id(params, "id", "ID")
        for lead in self._book.inquiries.values():
            if lead.id == number:
                return Result(Table(fields.lead_fields(), self._office.zone).render(lead))
        raise _NOT_FOUND

    def contact_list(self, params: Params) -> Result:
        """crm.contact.list."""
        table = Table(fields.contact_fields(), self._office.zone)
        return table.listing(self._book.contacts.values(), wanted(params))

    def contact_get(self, params: Params) -> Result:
        """crm.contact.get; PHONE and EMAIL only if there are any."""
        contact = self._book.contacts.get(subject_id(params, "id", "ID"))
        if contact is None:
            raise _NOT_FOUND
        row = Table(fields.contact_fields(), self._office.zone).render(contact)
        return Result({name: value for name, value in row.items() if value != []})

    def company_list(self, params: Params) -> Result:
        """crm.company.list: this department sells to persons only."""
        return Result([]) if wanted(params).start < 0 else Result([], total=0)

    def company_get(self, params: Params) -> Result:
        """crm.company.get."""
        subject_id(params, "id", "ID")
        raise _NOT_FOUND

    def stage_history(self, params: Params) -> Result:
        """crm.stagehistory.list: rows of deleted deals are gone; `result.items`, numbers."""
        entity = whole(params, "entityTypeId", 0)
        if entity not in {1, 2}:
            raise RestError(400, "0", f"{entity} entity is not supported")
        asked = wanted(params)
        owner = asked.filter.get("OWNER_ID")
        known: Iterable[StageRow] = self._history.stages
        if isinstance(owner, str | int) and str(owner).isdecimal():
            known = self._history.stages_of.get((entity, int(owner)), [])
        rows = (row for row in known if row.entity == entity and not self._is_gone(row))
        table = Table(_stage_fields(entity), self._office.zone, numbers=True)
        found = table.listing(rows, asked)
        return Result({"items": found.value}, total=found.total, next=found.next)

    def _is_gone(self, row: StageRow) -> bool:
        deal = self._book.deals.get(row.owner) if row.entity == 2 else None
        return deal is not None and deal.deleted_at is not None

    def activity_list(self, params: Params) -> Result:
        """crm.activity.list; the filter BINDINGS takes pairs of owner type and id."""
        rows: Iterable[calls.Activity] = self._activities()
        asked = wanted(params)
        pairs = entries(asked.filter.get("BINDINGS"))
        if pairs:
            owners = {
                (whole(pair, "OWNER_TYPE_ID", 0), whole(pair, "OWNER_ID", 0)) for pair in pairs
            }
            rows = (row for row in rows if not owners.isdisjoint(row.bindings))
        return Table(calls.activity_fields(), self._office.zone).listing(rows, asked)

    def activity_get(self, params: Params) -> Result:
        """crm.activity.get."""
        found = self._activity(subject_id(params, "id", "ID"))
        return Result(Table(calls.activity_fields(), self._office.zone).render(found))

    def activity_bindings(self, params: Params) -> Result:
        """crm.activity.binding.list: everything an activity hangs on."""
        found = self._activity(subject_id(params, "activityId"))
        rows = [{"entityTypeId": kind, "entityId": number} for kind, number in found.bindings]
        return Result(rows)

    def _activities(self) -> list[calls.Activity]:
        """All activities, made anew when the journal has grown."""
        length = len(self._book.journal)
        if self._made_at != length:
            self._made_at, self._made = length, list(calls.activities(self._history))
        return self._made

    def _activity(self, number: int) -> calls.Activity:
        for row in self._activities():
            if row.id == number:
                return row
        raise RestError(400, "", "Activity is not found")

    def comment_list(self, params: Params) -> Result:
        """crm.timeline.comment.list: the entity has to be given."""
        asked = wanted(params)
        names = {name.lstrip("=") for name in asked.filter}
        if not {"ENTITY_ID", "ENTITY_TYPE"} <= names:
            raise RestError(400, "", "ENTITY_ID and ENTITY_TYPE are required in the filter")
        table = Table(fields.comment_fields(), self._office.zone)
        return table.listing(self._book.notes.values(), asked)

    def comment_get(self, params: Params) -> Result:
        """crm.timeline.comment.get."""
        note = self._book.notes.get(subject_id(params, "id", "ID"))
        if note is None:
            raise _NOT_FOUND
        return Result(Table(fields.comment_fields(), self._office.zone).render(note))

    def call_statistics(self, params: Params) -> Result:
        """voximplant.statistic.get: only upper-case parameters are heard."""
        order = {str(params.get("SORT", "ID")): params.get("ORDER", "ASC")}
        asked = Wanted(mapping(params, "FILTER"), order, [], max(whole(params, "start", 0), 0))
        table = Table(calls.statistic_fields(), self._office.zone)
        return table.listing(self._history.lines, asked)

    def _tasks(self) -> Table[Task]:
        return Table(tasks.task_fields(self._office.clock.now()), self._office.zone)

    def task_list(self, params: Params) -> Result:
        """tasks.task.list: `result.tasks`, always counted.

        Raises:
            RestError: error `0`, an unknown key in `order`.
        """
        asked = wanted(params)
        table = self._tasks()
        unknown = [name for name in asked.order if name not in table.columns]
        if unknown:
            raise RestError(400, "0", "Неверный ключ сортировки (internal error)")
        rows = (task for task in self._book.tasks.values() if _is_task(task))
        select = [*asked.select, *(_UF_TASK if "UF_CRM_TASK" in asked.select else ())]
        start = max(asked.start, 0)
        found = table.listing(rows, Wanted(asked.filter, asked.order, select, start))
        shown = [tasks.answered(row, self._book.users) for row in found.value]
        return Result({"tasks": shown}, total=found.total, next=found.next)

    def task_get(self, params: Params) -> Result:
        """tasks.task.get; a task that is gone is an empty list."""
        task = self._book.tasks.get(subject_id(params, "taskId", "id"))
        task = None if task is not None and task.kind_id == TO_DO_KIND else task
        if task is None or task.deleted_at is not None:
            return Result({"task": []})
        select = wanted(params).select
        extra = _UF_TASK if "UF_CRM_TASK" in select else ()
        table = self._tasks()
        row = table.render(task, table.selected([*select, *extra]))
        return Result({"task": tasks.answered(row, self._book.users)})

    def task_history(self, params: Params) -> Result:
        """tasks.task.history.list; the filter FIELD is understood."""
        task = self._book.tasks.get(subject_id(params, "taskId", "id"))
        if task is None or task.deleted_at is not None:
            raise RestError(400, "0", "Задача не найдена или недоступна")
        only = mapping(params, "filter").get("FIELD")
        rows = [
            tasks.history_row(row, self._office.local_iso(row.at), self._book.users)
            for row in self._history.tasks.get(task.id, [])
            if only in (None, row.field)
        ]
        return Result({"list": rows})


def _is_task(task: Task) -> bool:
    return task.deleted_at is None and task.kind_id != TO_DO_KIND


def _stage_fields(entity: int) -> dict[str, Column[StageRow]]:
    own: dict[str, Column[StageRow]] = {
        "ID": Column("int", lambda row: row.id),
        "TYPE_ID": Column("int", lambda row: row.type),
        "OWNER_ID": Column("int", lambda row: row.owner),
        "CREATED_TIME": Column("instant", lambda row: row.at),
    }
    if entity == 1:
        return own | {
            "STATUS_SEMANTIC_ID": Column("text", lambda row: row.semantic),
            "STATUS_ID": Column("text", lambda row: row.stage),
        }
    return own | {
        "CATEGORY_ID": Column("int", lambda row: row.category),
        "STAGE_SEMANTIC_ID": Column("text", lambda row: row.semantic),
        "STAGE_ID": Column("text", lambda row: row.stage),
    }
