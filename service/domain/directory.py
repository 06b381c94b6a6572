"""The directory of a portal: sellers, pipelines, stages, loss reasons, custom fields.

Read whole from the CRM, kept as one document per account (msgspec JSON). What the CRM no longer
lists stays in the document (`listed=False`), so that old facts keep their names.
"""

from enum import StrEnum

import msgspec

from service.domain.instant import FOREVER, Instant


class StageKind(StrEnum):
    """What a stage means."""

    INCOMING = "incoming"
    OPEN = "open"
    WON = "won"
    LOST = "lost"


class Seller(msgspec.Struct, frozen=True, kw_only=True):
    """A CRM user. `activity`: (instant, active) steps, oldest first; empty = always as `active`.

    `groups`: (instant, group, its name) steps in the same way, as they were seen.
    """

    id: str
    name: str
    group: str | None = None
    group_name: str | None = None
    active: bool = True
    admin: bool = False
    listed: bool = True
    timezone: str | None = None
    activity: tuple[tuple[Instant, bool], ...] = ()
    groups: tuple[tuple[Instant, str | None, str | None], ...] = ()

    @property
    def spans_at_work(self) -> list[tuple[Instant, Instant]]:
        """When the user could work. Of one whom the CRM does not list any more: as long as known.

        Of whom it is not known until when he was there, nothing is.
        """
        if self.active and not self.listed:
            return []
        found: list[tuple[Instant, Instant]] = []
        steps = self.activity or ((0, self.active),)
        ends = [*(since for since, _ in steps[1:]), FOREVER]
        for number, ((since, active), end) in enumerate(zip(steps, ends, strict=True)):
            if active:
                found.append((since if number else 0, end))
        return found

    def is_at_work(self, at: Instant) -> bool:
        """Whether an instant lies in one of these spans."""
        return any(start <= at < end for start, end in self.spans_at_work)

    def active_at(self, at: Instant) -> bool:
        """Whether the user could work at `at`."""
        known = [state for since, state in self.activity if since <= at]
        return known[-1] if known else (self.activity[0][1] if self.activity else self.active)


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage; `id` is unique within its pipeline."""

    id: str
    name: str
    sort: int
    kind: StageKind = StageKind.OPEN
    listed: bool = True


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline with all its stages, in order of `sort`."""

    id: str
    name: str
    sort: int = 0
    main: bool = False
    archived: bool = False
    listed: bool = True
    stages: tuple[Stage, ...] = ()

    def stage(self, stage_id: str) -> Stage | None:
        """The stage with this id, if known."""
        return next((s for s in self.stages if s.id == stage_id), None)


class LossReason(msgspec.Struct, frozen=True, kw_only=True):
    """A loss reason; names are kept when the CRM forgets them."""

    id: str
    name: str


class CustomField(msgspec.Struct, frozen=True, kw_only=True):
    """A custom field of deals. `required`: (pipeline id, stage id) pairs the CRM itself demands."""

    id: str
    name: str
    type: str = "text"
    code: str | None = None
    required: tuple[tuple[str, str], ...] = ()
    options: dict[str, str] = {}  # option id -> text


class TaskKind(msgspec.Struct, frozen=True, kw_only=True):
    """A type of tasks."""

    id: str
    name: str


class Directory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything above, and what the portal says of itself."""

    external_id: str | None = None  # amoCRM account id, Bitrix24 member_id
    subdomain: str | None = None
    timezone: str | None = None
    currency: str | None = None
    loss_reasons_used: bool = True
    telephony: bool | None = None  # None = not known
    complete_users: bool = False  # the list of users was read by somebody who sees all of them
    sellers: tuple[Seller, ...] = ()
    pipelines: tuple[Pipeline, ...] = ()
    loss_reasons: tuple[LossReason, ...] = ()
    fields: tuple[CustomField, ...] = ()
    task_kinds: tuple[TaskKind, ...] = ()

    def seller(self, seller_id: str) -> Seller | None:
        """The seller with this id, if known."""
        return next((s for s in self.sellers if s.id == seller_id), None)

    def pipeline(self, pipeline_id: str) -> Pipeline | None:
        """The pipeline with this id, if known."""
        return next((p for p in self.pipelines if p.id == pipeline_id), None)


def fixed_kind(crm: str, stage: str) -> StageKind:
    """Stages with a fixed meaning: amoCRM 142/143, Bitrix24 WON/LOSE/APOLOGY (also C10:WON)."""
    code = stage.rpartition(":")[2]
    if (crm == "amocrm" and stage == "142") or code == "WON":
        return StageKind.WON
    if (crm == "amocrm" and stage == "143") or code in {"LOSE", "APOLOGY"}:
        return StageKind.LOST
    return StageKind.OPEN
