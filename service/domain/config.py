"""One account's settings resolved against its portal's directory: what judging and counting ask.

Titles become ids here. `check` refuses a title that does not exist or is not unique and names the
near ones; one that the portal lost later is ignored and told in `problems`. A `Config` is
immutable; a change of settings or directory makes a new one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import blake2b
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from service.domain.absences import Leave, with_leaves
from service.domain.account import AccountDocument, PipelineSettings, SellerSettings, TeamLines
from service.domain.calendar import WorkCalendar, make_calendar
from service.domain.directory import Directory, Pipeline, StageKind, fixed_kind
from service.domain.instant import Instant
from service.domain.memberships import Memberships
from service.domain.named import find, read_date
from service.domain.standards import DEFAULT_LIMITS, Standards
from service.domain.teams import Team
from service.domain.words import OTHER_REASONS
from service.errors import ConfigError

T = TypeVar("T")
DEFAULT_LIMIT = DEFAULT_LIMITS["open_deals"]
VIRTUAL_FIELDS = frozenset({"contact", "phone", "budget", "source", "company"})
_SPAM_WORDS = ("спам", "дубль", "нецелев", "тест", "spam", "duplicate", "test")


@dataclass(frozen=True)
class Config:
    """Settings, directory and what follows from both, for one account."""

    account_id: str
    crm: str
    timezone: ZoneInfo
    currency: str
    directory: Directory
    document: AccountDocument
    connected_at: Instant = 0
    lang: str = "ru"
    leaves: tuple[Leave, ...] = ()  # absences entered over the API
    team_versions: tuple[tuple[Instant, TeamLines], ...] = ()  # of all settings, by time
    _calendars: dict[str, WorkCalendar] = field(default_factory=dict, repr=False, compare=False)
    _faults: dict[str, None] = field(default_factory=dict, repr=False, compare=False)

    # --- people -------------------------------------------------------------------------------

    def calendar(self, seller_id: str | None) -> WorkCalendar:
        """Working time of a seller minus absences; None = the account's."""
        own = self.sellers.get(seller_id or "")
        key = seller_id if seller_id and own and (own.week or own.absent) else ""
        found = self._calendars.get(key)
        if found is None:
            found = self._calendars[key] = self._make_calendar(own or SellerSettings())
        return found

    def _make_calendar(self, own: SellerSettings) -> WorkCalendar:
        work = self.document.work
        return make_calendar(
            self.timezone,
            own.week or work.week,
            work.holidays,
            shorten=work.shorten,
            exceptions=work.exceptions,
            absences=tuple(
                (read_date(a.from_, "sellers.absent.from"), read_date(a.to, "sellers.absent.to"))
                for a in own.absent
            ),
        )

    @cached_property
    def sellers(self) -> dict[str, SellerSettings]:
        """What the settings say of single sellers, by CRM id, with all their absences."""
        named = {
            self._known(self.seller_id, name, f"sellers.{name}"): own
            for name, own in self.document.sellers.items()
        }
        known = {seller: own for seller, own in named.items() if seller is not None}
        return with_leaves(known, self.leaves)

    @cached_property
    def _human_ids(self) -> frozenset[str]:
        return frozenset(s.id for s in self.directory.sellers)

    def is_human(self, user_id: str | None) -> bool:
        """A listed, non-integration user; without any list, whoever is not a robot."""
        if user_id is None or user_id in {"", "0"}:
            return False
        return not self._human_ids or user_id in self._human_ids

    def limit(self, seller_id: str, at: Instant | None = None) -> int:
        """How many open deals a seller should have at most; 0 = not judged."""
        return self.standards.limit("open_deals", seller_id, at)

    @cached_property
    def memberships(self) -> Memberships:
        """Who is in which team when."""
        return Memberships(self)

    @property
    def teams(self) -> dict[str, Team]:
        """Teams of the settings, else the CRM's groups; also those of the past."""
        return self.memberships.teams

    def team_of(self, seller_id: str, at: Instant | None) -> Team | None:
        """The team of a seller at an instant; None = the one that he is in last."""
        return self.memberships.team_at(seller_id, at)

    def seller_name(self, seller_id: str) -> str | None:
        """The name as the CRM tells it; None = unknown."""
        return self._seller_names.get(seller_id)

    @cached_property
    def _seller_names(self) -> dict[str, str]:
        return {s.id: s.name for s in self.directory.sellers}

    # --- pipelines ----------------------------------------------------------------------------

    @cached_property
    def _stages(self) -> dict[tuple[str, str], tuple[StageKind, int]]:
        """(pipeline, stage) -> kind, number among the pipeline's open stages (0 = not open)."""
        found: dict[tuple[str, str], tuple[StageKind, int]] = {}
        for pipeline in self.directory.pipelines:
            number = 0
            for stage in sorted(pipeline.stages, key=lambda s: s.sort):
                number += stage.kind is StageKind.OPEN
                place = number if stage.kind is StageKind.OPEN else 0
                found[pipeline.id, stage.id] = (stage.kind, place)
        return found

    def stage_kind(self, pipeline: str, stage: str) -> StageKind:
        """What a stage means; one that the directory does not know follows the CRM's rules."""
        known = self._stages.get((pipeline, stage))
        return known[0] if known else fixed_kind(self.crm, stage)

    def stage_no(self, pipeline: str, stage: str) -> int:
        """Number among the pipeline's open stages, from 1; 0 = not an open one or unknown."""
        known = self._stages.get((pipeline, stage))
        return known[1] if known else 0

    def stage_count(self, pipeline: str) -> int:
        """How many open stages the pipeline has."""
        return self._stage_counts.get(pipeline, 0)

    @cached_property
    def _stage_counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for (pipeline, _), (_, number) in self._stages.items():
            found[pipeline] = max(number, found.get(pipeline, 0))
        return found

    def stage_name(self, pipeline: str, stage: str) -> str | None:
        """The stage's title; None = unknown."""
        found = self.directory.pipeline(pipeline)
        known = found.stage(stage) if found else None
        return known.name if known else None

    @cached_property
    def excluded(self) -> frozenset[str]:
        """Pipelines whose deals are not judged and count nowhere."""
        named = self.document.pipelines.get("exclude", [])
        own = {p.id for p in self._all(self.pipeline_id, named, "pipelines.exclude")}
        return frozenset(own | {p.id for p in self.directory.pipelines if p.archived})

    @cached_property
    def pipelines(self) -> dict[str, PipelineSettings]:
        """What the settings say of single pipelines, by CRM id."""
        found = {}
        for name, raw in self.document.pipelines.items():
            if name == "exclude":
                continue
            pipeline = self._known(self.pipeline_id, name, f"pipelines.{name}")
            if pipeline is not None:
                found[pipeline.id] = PipelineSettings.model_validate(raw or {})
        return found

    @cached_property
    def _required(self) -> dict[tuple[str, str], tuple[str, ...]]:
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for pipeline in self.directory.pipelines:
            asked: list[str] = []
            own = self.pipelines.get(pipeline.id, PipelineSettings()).required
            where = f"pipelines.{pipeline.name}.required"
            stage_id = partial(self.stage_id, pipeline)
            by_stage = {self._known(stage_id, name, where): names for name, names in own.items()}
            for stage in sorted(pipeline.stages, key=lambda s: s.sort):
                tokens = self._all(self._token, by_stage.get(stage.id, []), where)
                tokens += [
                    f.id for f in self.directory.fields if (pipeline.id, stage.id) in f.required
                ]
                asked += [t for t in tokens if t not in asked]
                found[pipeline.id, stage.id] = tuple(asked)
        return found

    def required(self, pipeline: str, stage: str) -> tuple[str, ...]:
        """What a card must hold at a stage (cumulative): virtual names and custom field ids."""
        return self._required.get((pipeline, stage), ())

    def _token(self, name: str, where: str) -> str:
        return name if name in VIRTUAL_FIELDS else self.field_id(name, where)

    @property
    def has_required(self) -> bool:
        """Whether any stage asks for a field."""
        return any(self._required.values())

    @cached_property
    def standards(self) -> Standards:
        """What counts as late, hot, mandatory, junk; and which facts are connected."""
        return Standards(self)

    # --- fields -------------------------------------------------------------------------------

    @cached_property
    def source_field(self) -> str | None:
        """Custom field that holds the source; None = the CRM's own."""
        return self._mapped("source")

    @cached_property
    def loss_reason_field(self) -> str | None:
        """Custom field that holds the loss reason; None = the CRM's own."""
        return self._mapped("loss_reason")

    @cached_property
    def budget_field(self) -> str | None:
        """Custom field that holds the amount; None = the CRM's own."""
        return self._mapped("budget")

    @cached_property
    def paid_field(self) -> str | None:
        """Custom field that holds what was paid so far, if receipts are payments."""
        return self._mapped("paid") if self.document.receipts_from == "payments" else None

    @cached_property
    def receipts_source(self) -> Literal["won", "paid_field", "invoices"]:
        """What receipts are: amounts of won deals, changes of a field, the portal's invoices."""
        if self.document.receipts_from == "won":
            return "won"
        return "paid_field" if self.paid_field is not None else "invoices"

    @cached_property
    def close_date_field(self) -> str | None:
        """Custom field that holds the expected closing date; None = the CRM's own, if any."""
        return self._mapped("close_date")

    def _mapped(self, name: str) -> str | None:
        chosen = self.document.fields.get(name, "default")
        if str(chosen) in {"default", "price"}:
            return None
        return self._known(self.field_id, str(chosen), f"fields.{name}")

    @cached_property
    def spam_reasons(self) -> frozenset[str]:
        """Loss reasons (ids and names) that mean "not our client"."""
        if self.document.spam_reasons is not None:
            chosen = set(self.document.spam_reasons)
        else:
            names = [r.name for r in self.directory.loss_reasons]
            chosen = {n for n in names if any(w in n.lower() for w in _SPAM_WORDS)}
        ids = {r.id for r in self.directory.loss_reasons if r.name in chosen or r.id in chosen}
        return frozenset(chosen | ids)

    @cached_property
    def other_reasons(self) -> frozenset[str]:
        """Loss reasons (ids) that say nothing without a note: "Другое"."""
        known = self.directory.loss_reasons
        return frozenset(r.id for r in known if r.name.strip().casefold() in OTHER_REASONS)

    def field_name(self, token: str) -> str:
        """What people call a required field."""
        names = {"contact": "контакт", "phone": "телефон", "budget": "бюджет"}
        names |= {"source": "источник", "company": "компания"}
        if token in names:
            return names[token] if self.lang == "ru" else token
        return next((f.name for f in self.directory.fields if f.id == token), token)

    # --- names to ids -------------------------------------------------------------------------

    def _known(self, look_up: Callable[[Any, str], T], name: Any, where: str) -> T | None:
        """What a name means; None = the portal does not know it (told in `problems`)."""
        try:
            return look_up(name, where)
        except ConfigError as error:
            self._faults[str(error)] = None
            return None

    def known_of(self, look_up: Callable[[Any, str], T], names: list[Any], where: str) -> list[T]:
        """What the names mean; those that the portal does not know are told in `problems`."""
        return self._all(look_up, names, where)

    def _all(self, look_up: Callable[[Any, str], T], names: list[Any], where: str) -> list[T]:
        found = [self._known(look_up, name, where) for name in names]
        return [item for item in found if item is not None]

    def seller_id(self, name: str | int, where: str) -> str:
        """The CRM id of a seller given by id or name."""
        return find(str(name), [(s.id, s.name) for s in self.directory.sellers], where, "seller")

    def pipeline_id(self, name: str | int, where: str) -> Pipeline:
        """The pipeline given by id or title."""
        pairs = [(p.id, p.name) for p in self.directory.pipelines]
        chosen = find(str(name), pairs, where, "pipeline")
        return next(p for p in self.directory.pipelines if p.id == chosen)

    def stage_id(self, pipeline: Pipeline, name: str | int, where: str) -> str:
        """The CRM id of a stage given by id or title."""
        return find(str(name), [(s.id, s.name) for s in pipeline.stages], where, "stage")

    def field_id(self, name: str, where: str) -> str:
        """The id of a custom field given by id, code or title."""
        fields = self.directory.fields
        pairs = [(f.id, f.name) for f in fields] + [(f.id, f.code) for f in fields if f.code]
        return find(name, pairs, where, "field")

    # --- identity -----------------------------------------------------------------------------

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """Names in the settings that the portal does not know; they are ignored."""
        for resolved in (self.sellers, self.excluded, self.pipelines, self._required):
            len(resolved)
        self._faults.update(dict.fromkeys(self.memberships.check()))
        _ = (self.source_field, self.loss_reason_field, self.budget_field, self.close_date_field)
        _ = self.paid_field
        self._look_up_people()
        for pipeline_id, own in self.pipelines.items():
            pipeline = self.directory.pipeline(pipeline_id)
            if pipeline is not None and own.qualified_from is not None:
                where = f"pipelines.{pipeline.name}.qualified_from"
                self._known(partial(self.stage_id, pipeline), own.qualified_from, where)
        standards = self.standards
        _ = (
            standards.weights,
            standards.mandatory,
            standards.commented,
            standards.is_late("", ""),
            (standards.team_limits, standards.team_totals, standards.kind_minutes),
        )
        return tuple(self._faults)

    def _look_up_people(self) -> None:
        """Who stands in for whom, and whose violations receivers hear of."""
        for name, own in self.document.sellers.items():
            for absence in own.absent:
                if absence.deputy is not None:
                    self._known(self.seller_id, absence.deputy, f"sellers.{name}.absent.deputy")
        for name, receiver in self.document.alerts.receivers.items():
            self._all(self.seller_id, receiver.sellers or [], f"alerts.receivers.{name}.sellers")

    def check_hours(self) -> None:
        """Make every calendar now; the portal is not asked.

        Raises:
            ConfigError: hours, holidays or absences that cannot be read.
        """
        for own in (SellerSettings(), *self.document.sellers.values()):
            self._make_calendar(own)

    def check(self) -> None:
        """Resolve everything now.

        Raises:
            ConfigError: the first name that cannot be resolved, or hours that cannot be read.
        """
        self.check_hours()
        if self.problems:
            raise ConfigError(self.problems[0])

    @cached_property
    def judging_digest(self) -> str:
        """Changes exactly when something changes that verdicts or figures may depend on."""
        return self._digest({"alerts", "bulk", "rates"})

    @cached_property
    def base_digest(self) -> str:
        """Changes exactly when something changes that a rule of the same version depends on."""
        return self._digest({"alerts", "bulk", "rates", "rules"})

    def _digest(self, left_out: set[str]) -> str:
        document = self.document.model_dump(mode="json", exclude=left_out, by_alias=True)
        directory = msgspec.to_builtins(self.directory)
        leaves = [one.digested for one in self.leaves if not one.removed]
        said = [document, str(self.timezone), self.currency, directory, leaves]
        if self.document.teams or len(self.team_versions) > 1:
            said.append(self.memberships.rota.told)
        packed = msgspec.json.encode(said, order="deterministic")
        return blake2b(packed, digest_size=9).hexdigest()

    @property
    def telephony(self) -> bool:
        """Whether calls are known to this account."""
        if self.document.telephony is not None:
            return self.document.telephony
        return bool(self.directory.telephony)
