"""The REST methods that change the CRM itself: deals and tasks edited, closed, deleted."""

from typing import Any

from service.portal.bitrix24.methods import Method
from service.portal.bitrix24.params import Params, RestError, Result, mapping, subject, whole
from service.portal.bitrix24.writing import Writing
from service.portal.book import Deal, Pipeline, Task
from service.portal.office import Office

_FIELD = "UF_CRM_"
_NOT_FOUND = RestError(400, "", "Not found")


class Changing:
    """All in the name of the token's owner; called with the portal's lock held."""

    def __init__(self, office: Office, writing: Writing) -> None:
        self._office = office
        self._book = office.book
        self._writing = writing

    def all(self) -> dict[str, Method]:
        """Methods by their lower-case names."""
        return {
            "crm.deal.add": self._add_deal,
            "crm.deal.update": self._edit_deal,
            "crm.deal.delete": self._delete_deal,
            "tasks.task.update": self._edit_task,
            "tasks.task.complete": self._complete_task,
        }

    def _deal(self, params: Params) -> Deal:
        deal = self._book.deals.get(subject(params, "id", "ID"))
        if deal is None or deal.deleted_at is not None:
            raise _NOT_FOUND
        return deal

    def _stage(self, pipeline: Pipeline, stage: object) -> str:
        known = {found.id for found in pipeline.stages}
        if str(stage) not in known:
            raise RestError(400, "", f"Invalid value of STAGE_ID: {stage}")
        return str(stage)

    def _user_fields(self, given: Params, before: dict[int, str]) -> dict[int, str]:
        after = dict(before)
        for name, value in given.items():
            digits = name.removeprefix(_FIELD) if name.startswith(_FIELD) else ""
            if digits.isdecimal() and int(digits) in self._book.field_names:
                after[int(digits)] = str(value or "")
        return {number: text for number, text in after.items() if text}

    def _add_deal(self, params: Params) -> Result:
        given = mapping(params, "fields", "FIELDS")
        category = str(whole(given, "CATEGORY_ID", 0))
        pipeline = self._book.pipelines.get(category)
        if pipeline is None:
            raise RestError(400, "", f"Invalid value of CATEGORY_ID: {category}")
        first = next(stage.id for stage in pipeline.stages if stage.kind == "open")
        stage = self._stage(pipeline, given.get("STAGE_ID") or first)
        now, author, number = self._writing.now(), self._writing.author(), self._book.next_id()
        deal = Deal(
            id=number, name=str(given.get("TITLE") or f"Сделка #{number}"),
            pipeline_id=pipeline.id, stage_id=stage, amount=_money(given, 0),
            responsible=self._writing.person(given, "ASSIGNED_BY_ID"), created_at=now,
            created_by=author, updated_at=now, updated_by=author, stage_entered_at=now,
            closed_at=now if pipeline.stage(stage).kind in {"won", "lost"} else None,
            fields=tuple(sorted(self._user_fields(given, {}).items())),
        )  # fmt: skip
        return Result(self._book.create_deal(deal).id)

    def _edit_deal(self, params: Params) -> Result:
        deal, given = self._deal(params), mapping(params, "fields", "FIELDS")
        pipeline = self._book.pipelines[deal.pipeline_id]
        stage = self._stage(pipeline, given.get("STAGE_ID", deal.stage_id))
        responsible = deal.responsible
        if "ASSIGNED_BY_ID" in given:
            responsible = self._writing.person(given, "ASSIGNED_BY_ID")
        fields = self._user_fields(given, dict(deal.fields))
        name, amount = str(given.get("TITLE", deal.name)), _money(given, deal.amount)
        now, author = self._writing.now(), self._writing.author()
        if (name, amount, fields) != (deal.name, deal.amount, dict(deal.fields)):
            self._book.edit_deal(deal.id, now, author, name=name, amount=amount, fields=fields)
        if responsible != deal.responsible:
            self._book.hand_over_deal(deal.id, responsible, now, author)
        if stage != deal.stage_id:
            self._book.move_deal(deal.id, stage, now, author)
        return Result(value=True)

    def _delete_deal(self, params: Params) -> Result:
        self._book.delete_deal(self._deal(params).id, self._writing.now(), self._writing.author())
        return Result(value=True)

    def _task(self, params: Params) -> Task:
        task = self._book.tasks.get(subject(params, "taskId", "id"))
        if task is None or task.deleted_at is not None:
            raise RestError(400, "0", "TASKS_ERROR_EXCEPTION_#8; Задача не найдена")
        return task

    def _edit_task(self, params: Params) -> Result:
        task, given = self._task(params), mapping(params, "fields", "FIELDS")
        now, author = self._writing.now(), self._writing.author()
        due_at = self._writing.instant(given["DEADLINE"]) if given.get("DEADLINE") else None
        text = None if given.get("TITLE") is None else str(given["TITLE"])
        if due_at is not None or text is not None:
            self._book.edit_task(task.id, now, author, due_at=due_at, text=text)
        if "RESPONSIBLE_ID" in given:
            person = self._writing.person(given, "RESPONSIBLE_ID")
            if person != task.responsible:
                self._book.hand_over_task(task.id, person, now, author)
        return Result({"task": {"id": str(task.id)}})

    def _complete_task(self, params: Params) -> Result:
        task = self._task(params)
        if task.done_at is None:
            now, author = self._writing.now(), self._writing.author()
            self._book.finish_task(task.id, now, author, None)
        return Result({"task": {"id": str(task.id), "status": "5"}})


def _money(given: dict[str, Any], default: int) -> int:
    try:
        return round(float(given.get("OPPORTUNITY", default)))
    except (TypeError, ValueError):
        raise RestError(400, "", "Invalid value of OPPORTUNITY") from None
