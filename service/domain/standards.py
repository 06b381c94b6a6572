"""What an account holds to be late, hot, mandatory, junk; and which facts it has connected."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

from service.domain.account import PipelineSettings
from service.domain.amounts import Classes
from service.domain.directory import Pipeline, StageKind
from service.domain.instant import Instant
from service.domain.money import exponent
from service.domain.named import find, read_date
from service.domain.period import day_start, local_date, to_day

if TYPE_CHECKING:
    from service.domain.config import Config

QUALIFIED_STAGE = 2  # unless the settings name another
_PROPOSAL = re.compile(r"\bкп\b|коммерческ\w* предложени|предложени\w* отправ|proposal|quote",
                       re.IGNORECASE)  # fmt: skip
JUNK_VALUES = frozenset(
    {"тест", "test", "нет", "no", "123", "1234", "12345", "111", "000", "xxx", "ххх", "n/a", "нд"}
)
TASK_MINUTES = 15
DEFAULT_LIMITS: Mapping[str, int] = {
    "open_deals": 50, "open_tasks": 100, "due_today": 30, "overdue_tasks": 10, "hot_deals": 10,
}  # fmt: skip
NEEDS = (
    "absences", "client_keys", "close_date", "commented_stages", "deadline_optional", "lead_calls",
    "leads", "loss_reason", "mandatory_stages", "required_fields", "source", "telephony", "users",
)  # fmt: skip
"""Facts that a rule may need."""
WARNING_SHARE = 0.8


def load_status(count: int, limit: int) -> str:
    """`no_limit`, `ok`, `warning` (from 80 % of the limit on) or `over`."""
    if not limit:
        return "no_limit"
    if count > limit:
        return "over"
    return "warning" if count >= limit * WARNING_SHARE else "ok"


@dataclass(frozen=True, slots=True)
class Away:
    """A seller is away in `[start, end)`; `deputy`: who stands in, as the settings name him."""

    start: Instant
    end: Instant
    deputy: str | None


Place = tuple[str, str]  # pipeline, stage


class Standards:
    """Read off the settings of one `Config`, by CRM ids."""

    def __init__(self, config: "Config") -> None:
        self._config = config

    def _own(self, pipeline: Pipeline) -> PipelineSettings:
        return self._config.pipelines.get(pipeline.id, PipelineSettings())

    def _stages_named(self, name: str) -> dict[str, tuple[str, ...]]:
        """Pipeline -> stage ids that one of its settings lists."""
        found = {}
        for pipeline in self._config.directory.pipelines:
            listed: Sequence[str | int] = getattr(self._own(pipeline), name)
            where = f"pipelines.{pipeline.name}.{name}"
            look_up = partial(self._config.stage_id, pipeline)
            found[pipeline.id] = tuple(self._config.known_of(look_up, list(listed), where))
        return found

    @cached_property
    def _late(self) -> frozenset[Place]:
        found = set()
        for pipeline in self._config.directory.pipelines:
            open_stages = [
                s for s in sorted(pipeline.stages, key=lambda s: s.sort)
                if s.kind is StageKind.OPEN
            ]  # fmt: skip
            chosen = self._own(pipeline).late_from
            first = len(open_stages) / 2 + 0.5  # the upper half: number * 2 > count
            if chosen is not None:
                where = f"pipelines.{pipeline.name}.late_from"
                ids = self._config.known_of(
                    partial(self._config.stage_id, pipeline), [chosen], where
                )
                numbers = [n for n, s in enumerate(open_stages, 1) if s.id in ids]
                first = numbers[0] if numbers else first
            found |= {(pipeline.id, s.id) for n, s in enumerate(open_stages, 1) if n >= first}
        return frozenset(found)

    @cached_property
    def _qualified(self) -> dict[str, int]:
        found = {}
        for pipeline in self._config.directory.pipelines:
            chosen = self._own(pipeline).qualified_from
            where = f"pipelines.{pipeline.name}.qualified_from"
            look_up = partial(self._config.stage_id, pipeline)
            ids = self._config.known_of(look_up, [chosen] if chosen is not None else [], where)
            number = self._config.stage_no(pipeline.id, ids[0]) if ids else 0
            found[pipeline.id] = number or QUALIFIED_STAGE
        return found

    def qualified_no(self, pipeline: str) -> int:
        """Number, among the open stages, of the first one that means: qualified."""
        return self._qualified.get(pipeline, QUALIFIED_STAGE)

    @cached_property
    def _by_number(self) -> dict[tuple[str, int], str]:
        return {
            (pipeline.id, number): stage.id
            for pipeline in self._config.directory.pipelines
            for stage in pipeline.stages
            if (number := self._config.stage_no(pipeline.id, stage.id))
        }

    def stage_at(self, pipeline: str, number: int) -> str:
        """The open stage of a pipeline by its number; an empty text if there is none."""
        return self._by_number.get((pipeline, number), "")

    def is_late(self, pipeline: str, stage: str) -> bool:
        """Whether a stage lies in the upper half of the open ones, or after `late_from`."""
        return (pipeline, stage) in self._late

    @cached_property
    def _hot_amounts(self) -> dict[str, int]:
        minor = 10 ** exponent(self._config.currency)
        return {
            pipeline: own.hot_amount * minor
            for pipeline, own in self._config.pipelines.items()
            if own.hot_amount is not None
        }

    @cached_property
    def amount_classes(self) -> Classes | None:
        """How often deals count by their amounts; None = all count alike."""
        return Classes.of(self._config.document.hygiene, self._config.currency)

    @cached_property
    def _hot_tags(self) -> frozenset[str]:
        return frozenset(tag.casefold() for tag in self._config.document.hot_tags)

    def is_hot(self, pipeline: str, stage: str, amount: int, tags: Sequence[str]) -> bool:
        """Late stage with an amount, or a large amount, or a tag that says so.

        Where a pipeline has a `hot_amount`, that alone says how large: a late stage with less is
        not hot.
        """
        if self._hot_tags and any(tag.casefold() in self._hot_tags for tag in tags):
            return True
        large = self._hot_amounts.get(pipeline)
        return (
            amount >= large if large is not None else amount > 0 and self.is_late(pipeline, stage)
        )

    @cached_property
    def proposal_stages(self) -> frozenset[Place]:
        """Stages at which a proposal goes out to the client, as their names say."""
        return frozenset(
            (pipeline.id, stage.id)
            for pipeline in self._config.directory.pipelines
            for stage in pipeline.stages
            if stage.kind is StageKind.OPEN and _PROPOSAL.search(stage.name)
        )

    @cached_property
    def test_tags(self) -> frozenset[str]:
        """Tags (lower case) of deals that are no business."""
        return frozenset(tag.casefold() for tag in self._config.document.test_tags)

    @cached_property
    def mandatory(self) -> dict[str, tuple[str, ...]]:
        """Pipeline -> stages that no deal may skip."""
        return self._stages_named("mandatory")

    @cached_property
    def commented(self) -> frozenset[Place]:
        """Stages that ask for a note on entering."""
        found = self._stages_named("commented")
        return frozenset((pipeline, stage) for pipeline, ids in found.items() for stage in ids)

    @cached_property
    def weights(self) -> dict[Place, int]:
        """How many deals one in a stage counts for the load; others count one."""
        found = {}
        for pipeline in self._config.directory.pipelines:
            for name, weight in self._own(pipeline).weights.items():
                where = f"pipelines.{pipeline.name}.weights"
                look_up = partial(self._config.stage_id, pipeline)
                for stage in self._config.known_of(look_up, [name], where):
                    found[pipeline.id, stage] = weight
        return found

    @cached_property
    def junk(self) -> frozenset[str]:
        """Values (lower case) of required fields that mean nothing."""
        own = self._config.document.junk
        return JUNK_VALUES if own is None else frozenset(value.casefold() for value in own)

    @cached_property
    def stop_texts(self) -> frozenset[str]:
        """Texts (lower case) of tasks that say nothing, beside the built-in ones."""
        return frozenset(text.strip().casefold() for text in self._config.document.stop_texts)

    @cached_property
    def default_minutes(self) -> int:
        """How long a task takes of which neither the CRM nor the settings say it."""
        return self._config.document.task_minutes.get("default", TASK_MINUTES)

    @cached_property
    def kind_minutes(self) -> Mapping[str, int]:
        """How long a task takes, by the id of its kind, where the settings say it."""
        kinds = [(kind.id, kind.name) for kind in self._config.directory.task_kinds]

        def look_up(name: str, where: str) -> str:
            return find(name, kinds, where, "kind of tasks") if kinds else name

        return {
            kind: minutes
            for name, minutes in self._config.document.task_minutes.items()
            if name != "default"
            for kind in self._config.known_of(look_up, [name], f"task_minutes.{name}")
        }

    def limit(self, name: str, seller: str, at: Instant | None = None) -> int:
        """A seller's limit of `open_deals`, `open_tasks`, ...; 0 = not judged.

        His own, else his team's, else the account's. Of the latter two a newcomer has a share at
        `at`, rounded down, at least one; without `at` he counts as one of the others, and as in the
        team that he is in last.
        """
        own = self._own_limit(name, seller)
        if own is not None:
            return own
        document, team = self._config.document, self._config.team_of(seller, at)
        normal = document.limits.get(name, DEFAULT_LIMITS[name])
        if team is not None:
            normal = self.team_limits.get(team.id, {}).get(name, normal)
        if normal and at is not None and self.is_newcomer(seller, at):
            return max(1, normal * document.newcomer_share // 100)
        return normal

    def _own_limit(self, name: str, seller: str) -> int | None:
        own = self._config.sellers.get(seller)
        if own is None:
            return None
        if name == "open_deals" and own.limit is not None:
            return own.limit
        return own.limits.get(name)

    @cached_property
    def team_limits(self) -> Mapping[str, Mapping[str, int]]:
        """What the settings say of the sellers of single teams, by the team's id."""
        return self._by_team("team_limits")

    @cached_property
    def team_totals(self) -> Mapping[str, Mapping[str, int]]:
        """What all sellers of a team may have together, by the team's id."""
        return self._by_team("team_totals")

    def _by_team(self, field: str) -> Mapping[str, Mapping[str, int]]:
        teams = [(team.id, team.name) for team in self._config.teams.values()]

        def look_up(name: str, where: str) -> str:
            return find(name, teams, where, "team")

        return {
            team: limits
            for name, limits in getattr(self._config.document, field).items()
            for team in self._config.known_of(look_up, [name], f"{field}.{name}")
        }

    def pipeline_limit(self, pipeline: str) -> int:
        """How many open deals of a pipeline one seller may have; 0 = not judged."""
        own = self._config.pipelines.get(pipeline)
        return own.limits.get("open_deals", 0) if own is not None else 0

    @cached_property
    def limited_pipelines(self) -> tuple[str, ...]:
        """Pipelines that have a limit."""
        return tuple(name for name in self._config.pipelines if self.pipeline_limit(name))

    def is_newcomer(self, seller: str, at: Instant) -> bool:
        """Whether a seller is still new on the local day of `at`."""
        own = self._config.sellers.get(seller)
        if own is None or own.newcomer_until is None:
            return False
        last = read_date(own.newcomer_until, "sellers.newcomer_until")
        return local_date(at, self._config.timezone) <= last

    def newcomers(self, at: Instant) -> tuple[str, ...]:
        """Those who are still new."""
        return tuple(seller for seller in self._config.sellers if self.is_newcomer(seller, at))

    def is_exempt(self, seller: str) -> bool:
        """Whether what this user does is not judged (an assistant, the head)."""
        own = self._config.sellers.get(seller)
        return own is not None and own.exempt

    @cached_property
    def _absences(self) -> dict[str, tuple[Away, ...]]:
        zone = self._config.timezone
        return {
            seller: tuple(
                Away(
                    day_start(to_day(read_date(a.from_, "sellers.absent.from")), zone),
                    day_start(
                        to_day(read_date(a.to, "sellers.absent.to") + timedelta(days=1)), zone
                    ),
                    str(a.deputy) if a.deputy is not None else None,
                )
                for a in own.absent
            )
            for seller, own in self._config.sellers.items()
            if own.absent
        }

    def absence_at(self, seller: str, at: Instant) -> "Away | None":
        """The absence that an instant lies in."""
        return next((a for a in self._absences.get(seller, ()) if a.start <= at < a.end), None)

    @cached_property
    def _changed_later(self) -> dict[str, tuple[tuple[Instant, Instant], ...]]:
        zone = self._config.timezone
        found: dict[str, tuple[tuple[Instant, Instant], ...]] = {}
        for leave in self._config.leaves:
            if leave.start(zone) < leave.changed_at:
                piece = (leave.start(zone), leave.changed_at)
                found[leave.seller] = (*found.get(leave.seller, ()), piece)
        return found

    def absence_told_later(self, seller: str, at: Instant) -> bool:
        """Whether an absence that began before `at` was entered or taken back only after it."""
        return any(start <= at < told for start, told in self._changed_later.get(seller, ()))

    @cached_property
    def _edges(self) -> dict[str, tuple[Instant, ...]]:
        found: dict[str, set[Instant]] = {}
        for seller, away in self._absences.items():
            found.setdefault(seller, set()).update(at for a in away for at in (a.start, a.end))
        zone = self._config.timezone
        for seller, own in self._config.sellers.items():
            if own.newcomer_until is not None:
                last = read_date(own.newcomer_until, "sellers.newcomer_until")
                over = day_start(to_day(last + timedelta(days=1)), zone)
                found.setdefault(seller, set()).add(over)
        for known in self._config.directory.sellers:
            if known.activity:
                found.setdefault(known.id, set()).update(at for at, _ in known.activity if at > 0)
            if moves := self._config.memberships.edges(known.id):
                found.setdefault(known.id, set()).update(moves)
        return {seller: tuple(sorted(edges)) for seller, edges in found.items()}

    def edges(self, seller: str) -> tuple[Instant, ...]:
        """Instants at which a seller goes away, comes, leaves, is blocked, new no more, moves."""
        return self._edges.get(seller, ())

    @property
    def _may_call(self) -> bool:
        """Whether calls are known, or at least not known to be missing (amoCRM does not tell)."""
        said = self._config.document.telephony
        return said if said is not None else self._config.directory.telephony is not False

    @cached_property
    def needs(self) -> frozenset[str]:
        """Which facts are connected; a rule whose facts are not is `off: no facts`."""
        config = self._config
        fields = config.document.fields
        have = {
            "loss_reason": (config.crm == "amocrm" and config.directory.loss_reasons_used)
            or fields.get("loss_reason", "default") != "default",
            "required_fields": config.has_required,
            "close_date": config.crm == "bitrix24" or config.close_date_field is not None,
            "source": config.crm == "bitrix24" or config.source_field is not None,
            "deadline_optional": config.crm != "amocrm",
            "mandatory_stages": any(self.mandatory.values()),
            "commented_stages": bool(self.commented),
            "client_keys": True,
            "users": config.directory.complete_users,
            "absences": any(own.absent for own in config.sellers.values()),
            "lead_calls": config.crm == "generic",
            "leads": True,
            "telephony": self._may_call,
        }
        return frozenset(name for name, known in have.items() if known)
