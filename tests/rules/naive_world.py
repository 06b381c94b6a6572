"""A department at random for the naive judge: settings that change, events, the facts they make."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from service.domain.config import Config
from service.domain.directory import Directory, LossReason, Pipeline, Seller, Stage, StageKind
from service.domain.facts import Fact, Kind
from service.domain.instant import FOREVER, Instant
from service.domain.named import parse_document
from service.domain.resolving import resolve
from service.rules.book import RuleBook, Window
from service.rules.loading import builtin_rules

MINUTE = 60
BERLIN = ZoneInfo("Europe/Berlin")
DAYS = 4
TOLD_DAYS = 3  # in which something happens
RULES = [m for m in builtin_rules() if m.form != "level" and not m.notice]
KINDS = {model.id: model.on for model in RULES}
BOOK = RuleBook([model.model_copy(update={"enabled": True}) for model in RULES])


def local(text: str) -> Instant:
    return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp())


FORWARD, BACK, GOOD_FRIDAY = map(
    local, ("2026-03-27 15:00", "2026-10-23 15:00", "2026-04-01 15:00")
)
STARTS = (FORWARD, BACK, GOOD_FRIDAY)
STAGES = (
    Stage(id="open", name="Новая", sort=10),
    Stage(id="offer", name="КП", sort=20),
    Stage(id="contract", name="Договор", sort=30),
    Stage(id="won", name="Успешно", sort=100, kind=StageKind.WON),
    Stage(id="lost", name="Отказ", sort=110, kind=StageKind.LOST),
)


def directory(start: Instant) -> Directory:
    return Directory(
        timezone="Europe/Berlin", currency="EUR", telephony=True, complete_users=True,
        sellers=(
            Seller(id="7", name="Иванов"),
            Seller(id="9", name="Петрова", activity=((0, True), (start + 2 * 86_400, False))),
        ),
        pipelines=(
            Pipeline(id="1", name="Продажи", main=True, stages=STAGES),
            Pipeline(id="2", name="Доставка", sort=2, stages=STAGES),
        ),
        loss_reasons=(LossReason(id="1", name="Дорого"), LossReason(id="2", name="Спам")),
    )  # fmt: skip


AWAY = [{"from": "2026-03-30", "to": "2026-03-30"}, {"from": "2026-10-26", "to": "2026-10-26"}]
FIRST: dict[str, Any] = {
    "timezone": "Europe/Berlin",
    "currency": "EUR",
    "pipelines": {
        "exclude": ["Доставка"],
        "Продажи": {"required": {"КП": ["budget", "contact"]}, "commented": ["КП"]},
    },
    "sellers": {"7": {"absent": AWAY}},
    "work": {"week": "mon-fri 09:00-17:00", "holidays": "DE"},
}
OTHER_HOURS = {
    "work": {
        "week": "mon-fri 08:00-12:30 13:15-19:00, sat-sun 01:00-05:00",
        "holidays": "none",
        "exceptions": {
            "2026-03-28": "off", "2026-10-25": "01:30-04:00", "2026-04-03": "10:00-11:00",
        },
    }
}  # fmt: skip
OTHER_RULES = {
    "rules": {
        "deal-no-task": {"for": "30wm"},
        "deal-stuck": {"for": {"КП": "1wd"}},
        "deal-client-waits": {"for": "45m"},
        "task-no-text": False,
        "deal-too-few-attempts": {"params": {"attempts": 1}},
    }
}
VERSIONS = (FIRST, FIRST | OTHER_HOURS, FIRST | OTHER_RULES, FIRST | OTHER_HOURS | OTHER_RULES)
Changes = list[tuple[int, int]]  # minutes from the start, number of the version


@lru_cache
def config(version: int, start: Instant) -> Config:
    return resolve("t", "amocrm", directory(start), parse_document(VERSIONS[version]))


def windows(changes: Changes, start: Instant) -> list[Window]:
    starts = {0: 0} | {start + minutes * MINUTE: version for minutes, version in changes}
    ordered = sorted(starts.items())
    ends = [at for at, _ in ordered[1:]] + [FOREVER]
    configs = [(at, config(version, start)) for at, version in ordered]
    return [
        Window(at, end, made, BOOK.in_force(made))
        for (at, made), end in zip(configs, ends, strict=True)
    ]


# --- what happens ---------------------------------------------------------------------------------

minutes = st.integers(0, TOLD_DAYS * 1440) | st.integers(0, TOLD_DAYS * 96).map(lambda n: n * 15)
people = st.sampled_from(["7", "9", "0"])
deal_bodies = st.one_of(
    st.fixed_dictionaries(
        {"stage": st.sampled_from(["open", "offer", "contract", "won", "lost"]), "author": people}
    ),
    st.fixed_dictionaries({"amount": st.sampled_from([0, 50, 100_000, 900_000])}),
    st.fixed_dictionaries({"responsible": st.sampled_from(["7", "9", ""]), "author": people}),
    st.fixed_dictionaries({"loss_reason": st.sampled_from([None, "1", "2"])}),
    st.fixed_dictionaries({"contacts": st.sampled_from([[], ["5"]])}),
    st.fixed_dictionaries({"pipeline": st.just("2"), "stage": st.just("open")}),
    st.just({"deleted": True}),
    st.just({"restored": True}),
)
task_bodies = st.one_of(
    st.fixed_dictionaries({"due": minutes, "author": people}),
    st.fixed_dictionaries({"is_open": st.booleans(), "author": people}),
    st.fixed_dictionaries({"responsible": st.sampled_from(["7", "9"])}),
    st.fixed_dictionaries({"text": st.sampled_from(["ок", "Отправить смету клиенту"])}),
)
Event = tuple[Kind, str, int, dict[str, Any]]
events = st.one_of(
    st.tuples(st.just(Kind.DEAL), st.just("1"), minutes, deal_bodies),
    st.tuples(st.just(Kind.DEAL), st.just("1"), minutes, deal_bodies),
    st.tuples(st.just(Kind.TASK), st.sampled_from(["1", "2"]), minutes, task_bodies),
    st.tuples(
        st.just(Kind.CALL), st.uuids().map(str), minutes,
        st.fixed_dictionaries({
            "direction": st.sampled_from(["in", "out"]), "answered": st.booleans(),
            "seconds": st.sampled_from([0, 60, 1800]), "author": st.sampled_from(["7", "9"]),
        }),
    ),
    st.tuples(
        st.just(Kind.NOTE), st.uuids().map(str), minutes,
        st.fixed_dictionaries({
            "text": st.sampled_from(["ок", "перезвонить", "клиент просит скидку"]),
            "author": st.sampled_from(["7", "9"]),
        }),
    ),
)  # fmt: skip
told_events = st.lists(events, min_size=2, max_size=16)
changes_of_settings = st.lists(
    st.tuples(st.integers(60, TOLD_DAYS * 1440), st.integers(0, len(VERSIONS) - 1)), max_size=2
)


def facts(told: Sequence[Event], start: Instant) -> list[Fact]:
    found = [
        Fact(Kind.DEAL, "1", start, {
            "pipeline": "1", "stage": "open", "name": "Окна", "amount": 0, "responsible": "7",
            "created_at": start, "created_by": "0",
        })
    ]  # fmt: skip
    seen: set[str] = set()
    for kind, subject, minute, told_body in sorted(told, key=lambda event: (event[2], event[1])):
        at, body = start + minute * MINUTE, dict(told_body)
        if "due" in body:
            body["due_at"] = start + body.pop("due") * MINUTE
        first: dict[str, Any] = {"deal": "1"} if kind is not Kind.DEAL else {}
        if kind is Kind.TASK and subject not in seen:
            seen.add(subject)
            first |= {"is_open": True, "created_at": at, "created_by": "7", "responsible": "7",
                      "text": "ок", "due_at": at + 2 * 3600}  # fmt: skip
        elif kind is Kind.CALL:
            first |= {"started_at": at}
        elif kind is Kind.NOTE:
            first |= {"created_at": at}
        found.append(Fact(kind, subject, at, first | body))
    return found
