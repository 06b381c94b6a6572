"""Rule tests as data: the `tests` inside a rule file, run against a tiny named account.

Pipelines «Продажи» (`1`) and «Доставка» (`2`) with stages Новая (`open`), КП (`offer`), Договор
(`contract`), `won`, `lost`; sellers 7 and 9; a custom field ИНН (`501`). Local times are Moscow's.
A rule that is off by default is tested as if it were on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from service.domain.config import Config
from service.domain.directory import (
    CustomField,
    Directory,
    LossReason,
    Pipeline,
    Seller,
    Stage,
    StageKind,
    TaskKind,
)
from service.domain.facts import Fact, Kind
from service.domain.homes import STRANGER
from service.domain.instant import FOREVER, Instant, to_datetime
from service.domain.named import parse_document
from service.domain.period import day_start, local_day
from service.domain.resolving import resolve
from service.domain.steps import call_parts, level_steps
from service.domain.story import Context, Story
from service.domain.timeline import fold
from service.domain.violation import Found
from service.domain.worlds import world_of
from service.errors import ConfigError
from service.rules.book import RuleBook, Window
from service.rules.clients import side_by_side
from service.rules.expression import ConditionFailed
from service.rules.forms import SECOND
from service.rules.holders import Event, Track
from service.rules.judge import judge
from service.rules.loading import builtin_rules
from service.rules.norms import PLAN, SALES
from service.rules.schema import RuleModel, RuleTest
from service.rules.second import HEARD, holders_of, judge_second, parts_of

T = TypeVar("T")
_ZONE = ZoneInfo("Europe/Moscow")
_KINDS = {kind.value: kind for kind in Kind}
_INSTANTS = (
    "due_at", "created_at", "started_at", "accepted_at", "closed_at", "starts_at", "ends_at",
)  # fmt: skip
_OF_CLIENT = (Kind.CALL, Kind.NOTE, Kind.MESSAGE)
_OWN_TIMELINE = (Kind.DEAL, Kind.LEAD)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test gave. `problem` empty = passed."""

    rule: str
    test: str
    problem: str


def run_tests(models: list[RuleModel]) -> list[Outcome]:
    """Run all tests of these rules, each rule judged alone."""
    return [
        Outcome(model.id, test.name, _run(model, test)) for model in models for test in model.tests
    ]


def _run(model: RuleModel, test: RuleTest) -> str:
    try:
        _, found = intervals(model, test)
    except ConditionFailed as error:
        return f"the condition failed: {error}"
    except ConfigError as error:
        return f"settings: {error}"
    except (TypeError, ValueError) as error:
        return f"the facts cannot be read: {error}"
    return _compare(test, found)


def intervals(model: RuleModel, test: RuleTest) -> tuple[Config, list[Found]]:
    """The violations of a test's timelines by one rule alone, and the account they are judged in.

    Raises:
        ConditionFailed: the condition has no answer.
    """
    config = _config(test)
    windows = [_alone(_Itself(model), _Itself(config))]
    stories = [
        fold(key, [f for f in facts if f.kind is not Kind.CONTACT], world_of(config), lent)
        for key, facts, lent in _with_lent(_timelines(test))
    ]
    side_by_side(stories, _timelines(test), config)
    found: list[Found] = []
    if model.on in SECOND:
        found = _second(model, test, stories, config, windows)
    else:
        for story in stories:
            judged, failures = judge(story, windows)
            if failures:
                raise ConditionFailed(failures[0].error)
            found += judged
    return config, sorted(found, key=lambda f: f.breach_at)


class _Itself(Generic[T]):
    """A thing that is the same as itself only."""

    def __init__(self, it: T) -> None:
        self.it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.it is other.it

    def __hash__(self) -> int:
        return id(self.it)


@lru_cache(maxsize=64)
def _alone(model: _Itself[RuleModel], config: _Itself[Config]) -> Window:
    """One rule, for ever; compiled once for all tests of the same account."""
    rules = RuleBook([model.it.model_copy(update={"enabled": True})]).in_force(config.it)
    return Window(0, FOREVER, config.it, rules)


@lru_cache(maxsize=16)
def _first_layer(config: _Itself[Config]) -> Window:
    """All built-in rules on timelines."""
    return Window(0, FOREVER, config.it, _timeline_rules().in_force(config.it))


@cache
def _timeline_rules() -> RuleBook:
    return RuleBook([model for model in builtin_rules() if model.on not in SECOND])


def _with_lent(timelines: dict[str, list[Fact]]) -> Iterator[tuple[str, list[Fact], Context]]:
    """Timelines with what is lent to them: persons, and what deals and their clients tell."""
    for key, facts in timelines.items():
        kin = [other for other in timelines if key in _clients_of(timelines, other)]
        kin += [client for client in _clients_of(timelines, key) if client in timelines]
        kin += [f"lead:{fact.body['inquiry']}" for fact in facts if fact.body.get("inquiry")]
        lent = [fact for fact in facts if fact.kind is Kind.CONTACT]
        lent += [fact for other in kin for fact in timelines.get(other, ())]
        yield key, facts, Context(lent)


def _clients_of(timelines: dict[str, list[Fact]], key: str) -> set[str]:
    """The timelines of a deal's contacts."""
    told = [f.body["contacts"] for f in timelines[key] if f.body.get("contacts")]
    return {f"contact:{contact}" for contact in told[-1]} if told else set()


def _second(
    model: RuleModel, test: RuleTest, stories: list[Story], config: Config, windows: list[Window]
) -> list[Found]:
    """A rule of the second layer over all timelines; what they break of other rules counts too."""
    rule = windows[0].rules[0]
    first = [_first_layer(_Itself(config))]
    wanted = frozenset(parts_of(rule, config)) | windows[0].levels
    counted = [
        _Counted(Event(step.at, step.metric, step.seller, step.delta, step.subject), step.slot)
        for story in stories
        for step in level_steps(story, judge(story, first)[0], config, wanted)
    ]
    counted += [one for story in stories for one in _others_of(story)]
    counted += [
        _Counted(Event(_instant(line["at"]) or 0, HEARD, "", 1), "")
        for line in test.given
        if HEARD in line
    ]
    counted += [_Counted(_planned(line), "") for line in test.given if PLAN in line]
    parts = parts_of(rule, config)
    counted = sorted(one for one in counted if one.event.part in parts)
    found: list[Found] = []
    pairs = [(one.event.seller, one.slot) for one in counted]
    for holder in holders_of(rule, pairs, windows, "test"):
        mine = [
            one.event if holder.sellers else one.event._replace(seller="")
            for one in counted
            if (not holder.sellers or one.event.seller in holder.sellers)
            and holder.slot in ("", one.slot)
        ]
        begin = 0
        if model.form == "norm":
            begin = next((e.at for e in mine if e.part == parts[0]), FOREVER)
            if parts[0] == PLAN and begin < FOREVER:
                begin = day_start(local_day(begin, _ZONE) // 100 * 100 + 1, _ZONE)
        if begin < FOREVER:
            found += judge_second(rule, holder, Track({}, mine), windows, None, begin)
    return found


class _Counted(NamedTuple):
    event: Event
    slot: str


def _planned(line: dict[str, Any]) -> Event:
    """`plan: {seller, month, value}`: a plan as it is written at an instant."""
    told = line[PLAN]
    at = _instant(line["at"]) or 0
    return Event(at, PLAN, str(told["seller"]), int(told["value"]), str(told["month"]))


def _sales(story: Story) -> Iterator[_Counted]:
    """Money and number of sales, at their wins."""
    for before, state in zip([None, *story.deal], story.deal, strict=False):
        won = state.kind is StageKind.WON and (before is None or before.kind is not StageKind.WON)
        if won:
            for part, value in ((SALES, 1), ("receipts", state.amount), ("deals_won", 1)):
                yield _Counted(Event(state.at, part, state.responsible, value, story.id), "")


def _others_of(story: Story) -> Iterator[_Counted]:
    """What is counted of a timeline beside its steps: calls, and inquiries by source."""
    for call in story.calls:
        for part, value in call_parts(call).items():
            yield _Counted(Event(call.started_at, part, call.author, value, call.id), "")
    yield from _sales(story)
    last = story.lead[-1] if story.lead else story.deal[-1] if story.deal else None
    if last is not None and last.created_at is not None:
        event = Event(last.created_at, "inquiries", last.responsible, 1, story.id)
        yield _Counted(event, last.source or "")


def _compare(test: RuleTest, found: list[Found]) -> str:
    if len(found) != len(test.expect):
        return f"expected {len(test.expect)} intervals, got {[_show(f) for f in found]}"
    for wanted, got in zip(test.expect, found, strict=True):
        same = (
            got.breach_at == _instant(wanted["breach_at"])
            and got.resolved_at == _instant(wanted.get("resolved_at"))
            and got.resolution == wanted.get("resolution", got.resolution)
            and got.subject_id == wanted.get("subject", got.subject_id)
            and got.severity == wanted.get("severity", got.severity)
        )
        if not same:
            return f"expected {wanted}, got {_show(got)}"
    return ""


def _show(found: Found) -> str:
    end = "..." if found.resolved_at is None else _local(found.resolved_at)
    return f"[{_local(found.breach_at)}, {end}) {found.resolution or 'open'}"


def _local(at: Instant) -> str:
    return to_datetime(at).astimezone(_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def _instant(value: Any) -> Instant | None:
    if value is None:
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return int(moment.replace(tzinfo=_ZONE).astimezone(UTC).timestamp())


def _timelines(test: RuleTest) -> dict[str, list[Fact]]:
    """Facts by timeline; tasks, calls and notes hang on deal `1` unless they name another."""
    timelines: dict[str, list[Fact]] = {}
    seen: set[tuple[Kind, str]] = set()
    for index, line in enumerate(test.given):
        at = _instant(line["at"]) or 0
        name = next(key for key in line if key != "at")
        if name in {HEARD, PLAN}:
            continue
        body = dict(line[name])
        kind = _KINDS[name]
        subject = str(body.pop("id", index + 1 if kind is Kind.NOTE else 1))
        home = _home(kind, subject, body)
        if (kind, subject) not in seen:
            body = _defaults(kind, at, body)
            seen.add((kind, subject))
        body |= {key: _instant(body[key]) for key in _INSTANTS if isinstance(body.get(key), str)}
        fact = Fact(kind, subject, at, body)
        timelines.setdefault(home, []).append(fact)
    return timelines


def _home(kind: Kind, subject: str, body: dict[str, Any]) -> str:
    if kind in _OWN_TIMELINE:
        return f"{kind}:{subject}"
    if "lead" in body:
        return f"lead:{body.pop('lead')}"
    if "client" in body:
        return f"contact:{STRANGER}{body['client']}"
    if "contact" in body and kind in _OF_CLIENT:
        return f"contact:{body['contact']}"
    return f"deal:{body.pop('deal', '1')}"


def _defaults(kind: Kind, at: Instant, body: dict[str, Any]) -> dict[str, Any]:
    if kind is Kind.DEAL:
        return {"pipeline": "1", "created_at": at, "created_by": "0", "name": "Окна"} | body
    if kind is Kind.TASK:
        return {"created_at": at, "text": "Перезвонить по КП"} | body
    if kind is Kind.CALL:
        return {"started_at": at} | body
    if kind is Kind.CONTACT:
        return body
    return {"created_at": at} | body


_KNOWN: dict[str, Config] = {}
_MOST_KNOWN = 64


def _config(test: RuleTest) -> Config:
    """The account of a test; tests that say the same of it share it."""
    key = repr((test.directory, test.settings))
    if key not in _KNOWN:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[key] = _make_config(test)
    return _KNOWN[key]


def _make_config(test: RuleTest) -> Config:
    required = {
        key: tuple((pair[0], pair[1]) for pair in pairs)
        for key, pairs in test.directory.get("required", {}).items()
    }
    directory = Directory(
        timezone="Europe/Moscow",
        currency="RUB",
        telephony=True,
        complete_users=True,
        sellers=tuple(
            Seller(id=number, name=name, activity=_activity(test, number))
            for number, name in (("7", "Иванов"), ("9", "Петрова"))
        ),
        pipelines=tuple(_pipelines()),
        loss_reasons=(
            LossReason(id="1", name="Дорого"),
            LossReason(id="2", name="Спам"),
            LossReason(id="3", name="Другое"),
        ),
        fields=(CustomField(id="501", name="ИНН", required=required.get("501", ())),),
        task_kinds=(TaskKind(id="1", name="Связаться"), TaskKind(id="2", name="Встреча")),
    )
    crm = test.directory.get("crm", "amocrm")
    config = resolve("test", crm, directory, parse_document(test.settings))
    config.check()
    return config


def _activity(test: RuleTest, seller: str) -> tuple[tuple[Instant, bool], ...]:
    """`directory: {activity: {"9": INSTANT}}`: the seller worked until then."""
    left = _instant(test.directory.get("activity", {}).get(seller))
    return () if left is None else ((0, True), (left, False))


def _pipelines() -> Iterator[Pipeline]:
    stages = (
        Stage(id="open", name="Новая", sort=10),
        Stage(id="offer", name="КП", sort=20),
        Stage(id="contract", name="Договор", sort=30),
        Stage(id="won", name="Успешно", sort=100, kind=StageKind.WON),
        Stage(id="lost", name="Отказ", sort=110, kind=StageKind.LOST),
    )
    yield Pipeline(id="1", name="Продажи", main=True, stages=stages)
    yield Pipeline(id="2", name="Доставка", sort=2, stages=stages)
