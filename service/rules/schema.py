"""A rule as written in YAML. Unknown names are refused."""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from service.domain.span import Span
from service.domain.standards import NEEDS
from service.rules.given import checked_expect, checked_given, near_of
from service.rules.paced import PACED, no_pace, planned_metric


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(_Model):
    """A text for people in both languages. `{name}` stands for a value of the violation."""

    ru: str
    en: str


class ByStage(_Model):
    """A span that depends on where a subject is, where it came from, or of what kind it is.

    A name in `values` is one of the kind that `by` says; `source:Avito` names the kind itself. Of
    several that fit, a task's kind or an inquiry's category comes first, then the source, then the
    stage or pipeline.
    """

    by: Literal["stage", "pipeline", "source", "category", "kind"] = Field(
        "stage",
        description="stage, pipeline: of deals, tasks, calls; source: of deals and leads; "
        "category: of leads (amoCRM: sip, mail, forms, chats); kind: of tasks, by title or id",
    )
    default: str
    values: dict[str, str] = Field(
        {}, description="name -> span; also stage:..., source:..., category:..., kind:..."
    )

    @field_validator("default")
    @classmethod
    def _span(cls, value: str) -> str:
        Span.parse(value)
        return value

    @field_validator("values")
    @classmethod
    def _spans(cls, value: dict[str, str]) -> dict[str, str]:
        for text in value.values():
            Span.parse(text)
        return value


_START = re.compile(r"(\S+)(?: (if|unless) param\.([a-z_]+)(?: == ([a-z_]+))?)?")


class Start(NamedTuple):
    """An attribute that starts the clock, where a parameter is (`if`) or is not (`unless`) so."""

    name: str
    sense: str = ""
    param: str = ""
    word: str = ""  # "" = it is true

    @classmethod
    def read(cls, text: str) -> "Start":
        """Of what stands in a rule file; a text of another form is a name that nobody knows."""
        match = _START.fullmatch(text)
        return cls(*match.groups("")) if match else cls(text)

    def counts(self, params: Mapping[str, Any]) -> bool:
        """Whether it starts the clock of a rule with these parameters."""
        if not self.sense:
            return True
        value = params.get(self.param)
        return (value == self.word if self.word else bool(value)) == (self.sense == "if")


FORMS_OF_FOR = ("one span", "spans by name")  # what pydantic calls them in its paths


def _form_of_for(value: Any) -> str:
    return FORMS_OF_FOR[isinstance(value, dict | ByStage)]


class NormBasis(_Model):
    """From which waits a norm (`for`) is proposed; a proposal never becomes active by itself."""

    percentile: int = Field(75, ge=1, le=99)
    days: int = Field(90, ge=7, le=730, description="waits that ended in so many days")
    of: Literal["all", "won"] = Field(
        "all", description="won: the waits of deals that were won in these days"
    )
    times: float = Field(1, ge=0.1, le=10, description="the percentile is multiplied by it")
    least: int = Field(20, ge=1, description="with fewer waits nothing is proposed")


class RuleTest(_Model):
    """Given facts on a timeline, the intervals that must come out (local time of the account).

    `given`: facts in order, each `{at, deal|task|call|note|message|lead|contact: {...}}`, or
    `{at, heard: {}}` and `{at, plan: {seller, month, value}}`; `expect`: the intervals as
    `{breach_at, resolved_at?, subject?, resolution?, severity?}`; none = the rule is kept.
    """

    name: str
    settings: dict[str, Any] = {}
    directory: dict[str, Any] = {}
    given: Annotated[list[dict[str, Any]], AfterValidator(checked_given)]
    expect: Annotated[list[dict[str, Any]], AfterValidator(checked_expect)] = []


class RuleModel(_Model):
    """One rule of a rule file."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{2,63}$")
    on: Literal["deal", "task", "call", "lead", "seller", "team", "account"]
    form: Literal["state", "answer", "level", "norm", "pair"]
    when: str
    since: str | list[str] = Field(
        "held", description="attributes, also `... if param.x`, `... unless param.x == word`"
    )
    for_: Annotated[
        Annotated[str, Tag(FORMS_OF_FOR[0])] | Annotated[ByStage, Tag(FORMS_OF_FOR[1])],
        Discriminator(_form_of_for),
    ] = Field("0m", alias="for")
    norm_from: NormBasis = NormBasis()  # how a norm is proposed
    level: str | None = None  # form level: the contribution part that is summed
    above: str | None = None  # form level: attribute or param.<name> that must not be exceeded
    share: int = Field(100, ge=1, le=100)  # form level: per cent of the limit that are allowed
    counts: Literal["calls_out", "talk_minutes", "hygiene", "plan_pace"] | None = (
        None  # form norm: of each day
    )
    below: str | None = None  # form norm: param.<name> that must be reached
    row: int = Field(1, ge=1, le=10)  # form norm: working days in a row
    join: str = "0m"  # gaps shorter than this do not end an interval
    params: dict[str, int | float | str | bool | list[str]] = {}
    severity: Literal["info", "warning", "critical"]
    critical_when: str | None = None  # raises the severity, judged at the breach
    info_when: str | None = None  # lowers it, judged at the breach; `critical_when` comes first
    enabled: bool = True
    needs: list[str] = []  # facts that must be connected
    to: Literal["head", "ops"] = "head"  # who is told: ops hear of the connection only
    notice: bool = False  # no debt: shown for a working day
    silences: list[str] = []  # rules of the same subject or deal not told while it is open; "*"
    name: Text | None = None  # a short noun phrase without values
    title: Text
    advice: Text
    tests: list[RuleTest] = []

    @model_validator(mode="after")
    def _paced(self) -> "RuleModel":
        metric = planned_metric(self.params)
        if self.counts == "plan_pace" and metric not in PACED:
            raise ValueError("params.metric: " + no_pace(metric))
        return self

    @field_validator("for_")
    @classmethod
    def _for(cls, value: str | ByStage) -> str | ByStage:
        if isinstance(value, str):
            Span.parse(value)
        return value

    @field_validator("join")
    @classmethod
    def _join(cls, value: str) -> str:
        span = Span.parse(value)
        if span.unit not in {"m", "h"} or span.count < 0:
            msg = f"{value!r} is no gap; write minutes or hours that pass, for example 30m"
            raise ValueError(msg)
        return value

    @field_validator("needs")
    @classmethod
    def _needs(cls, value: list[str]) -> list[str]:
        for name in value:
            if name not in NEEDS:
                msg = f"there are no facts {name[:40]!r}{near_of(name, NEEDS)}"
                raise ValueError(msg)
        return value

    @cached_property
    def starts(self) -> list[Start]:
        """What may start the clock (`held` is none of it)."""
        texts = [self.since] if isinstance(self.since, str) else self.since
        return [Start.read(text) for text in texts if text != "held"]

    @property
    def since_names(self) -> list[str]:
        """The attributes that may start the clock."""
        return [start.name for start in self.starts]

    @cached_property
    def since_morning(self) -> bool:
        """Whether the clock of a silence starts anew on each working day."""
        return "seller.work_start_at" in self.since_names

    @cached_property
    def since_held(self) -> bool:
        """Whether the clock starts no earlier than the condition became true."""
        return "held" in ([self.since] if isinstance(self.since, str) else self.since)


class RuleFile(_Model):
    """A whole rule file."""

    rules: list[RuleModel]


def rule_schema() -> dict[str, Any]:
    """The JSON Schema of rule files (draft 2020-12)."""
    found = RuleFile.model_json_schema(by_alias=True)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Dozor rules"}
    return head | {name: value for name, value in found.items() if name != "title"}


class Change(NamedTuple):
    """A field of a rule that says something else; None = the rule was not there."""

    rule: str
    field: str
    old: Any
    new: Any


def changed(old: RuleModel | None, new: RuleModel) -> list[Change]:
    """What a rule says otherwise than one of the same name; tests are not compared."""
    if old is None:
        return [Change(new.id, "rule", None, new.when)]
    before, after = (
        m.model_dump(mode="json", by_alias=True, exclude={"tests"}) for m in (old, new)
    )
    return [Change(new.id, name, before[name], after[name]) for name in after
            if before[name] != after[name]]  # fmt: skip
