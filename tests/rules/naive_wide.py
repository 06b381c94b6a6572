"""Cases at random for the second look at facts: wider than what the naive judge walks through.

Beside a deal, its tasks and its calls: what the client said on the own timeline and before the
deal, inquiries, custom fields, persons, restored deletions, what one person undid at once, tasks
done and undone, versions of one instant.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st
from msgspec.structs import replace

from service.domain.config import Config
from service.domain.directory import CustomField, Directory, Stage, StageKind, TaskKind
from service.domain.facts import Fact, Kind, Rank
from service.domain.named import parse_document
from service.domain.resolving import resolve
from tests.rules.naive_world import FIRST, STAGES, directory

DAY = 86_400
ALL_STAGES = (Stage(id="in", name="Неразобранное", sort=0, kind=StageKind.INCOMING), *STAGES)
OWN_LINE: dict[str, Any] = {
    "required": {"Новая": ["source", "ИНН"], "КП": ["budget", "contact"],
                 "Договор": ["phone", "company"]},
    "commented": ["КП"], "mandatory": ["КП", "Договор"],
}  # fmt: skip
PLAIN = FIRST | {
    "pipelines": {"exclude": ["Доставка"], "Продажи": OWN_LINE},
    "hot_tags": ["VIP"], "test_tags": ["Тест"],
}  # fmt: skip
MAPPED = FIRST | {
    "fields": {
        "source": "Канал", "budget": "Бюджет", "loss_reason": "Причина", "close_date": "Срок",
    },
    "pipelines": {"Продажи": OWN_LINE | {"late_from": "КП", "hot_amount": 500}},
    "spam_reasons": ["Спам"], "junk": ["хз"], "stop_texts": ["Отправить смету клиенту"],
}  # fmt: skip


def wide_directory(start: int) -> Directory:
    known = directory(start)
    lines = tuple(replace(line, stages=ALL_STAGES) for line in known.pipelines)
    names = {"f1": "Канал", "f2": "Бюджет", "f3": "Причина", "f4": "Срок", "f5": "ИНН"}
    fields = tuple(CustomField(id=i, name=name) for i, name in names.items())
    kinds = (TaskKind(id="1", name="Отправить смету клиенту"), TaskKind(id="2", name="Встреча"))
    return replace(known, pipelines=lines, fields=fields, task_kinds=kinds)


def wide_config(start: int, *, mapped: bool) -> Config:
    document = parse_document(MAPPED if mapped else PLAIN)
    return resolve("t", "amocrm", wide_directory(start), document)


people = st.sampled_from(["7", "9", "0", "7", "9", "55", None])
texts = st.sampled_from(["ок", "перезвонить", "Отправить смету клиенту", "отправить  смету клиенту",
                         "клиент просит скидку", "Согласовать замер окна"])  # fmt: skip
stages = st.sampled_from(["in", "open", "open", "offer", "offer", "contract", "contract",
                          "won", "lost"])  # fmt: skip
filled = st.dictionaries(
    st.sampled_from(["f1", "f2", "f3", "f4", "f5"]),
    st.sampled_from(["100", "900", "2026-04-10", "2026-05-20", "Спам", "---", "хз", "77"]),
    max_size=4,
)
single = st.dictionaries(
    st.sampled_from(["f1", "f2", "f3", "f4", "f5"]),
    st.sampled_from(["", "100", "700", "2026-04-12", "2026-07-01", "Спам", "77"]),
    min_size=1, max_size=2,
)  # fmt: skip


def some(**one: Any) -> Any:
    """A version that tells some of these."""
    return st.fixed_dictionaries({}, optional=one | {"author": people})


def told(**all_of_them: Any) -> Any:
    return st.fixed_dictionaries({**all_of_them, "author": people})


deal_told = st.one_of(
    told(stage=stages), told(stage=stages), told(stage=stages, loss_reason=st.just("1")),
    told(stage=stages, amount=st.sampled_from([0, 90, 50_000, 90_000])),
    told(amount=st.sampled_from([0, 90, 50_000, 90_000])),
    told(responsible=st.sampled_from(["7", "9", "", None])),
    told(responsible=st.sampled_from(["7", "9"])),
    some(loss_reason=st.sampled_from([None, "1", "2"]), source=st.sampled_from([None, "", "сайт"]),
         name=st.sampled_from(["Сделка #17", "Новая сделка", "Окна Иванова", "8 (912) 345-67-89"]),
         currency=st.just("EUR"), company=st.sampled_from([None, "co1"]),
         contacts=st.sampled_from([[], ["5"]]), tags=st.sampled_from([[], ["vip"], ["тест"]]),
         expected_close_on=st.sampled_from([None, "2026-04-10", "2026-04-15", "2026-05-02"])),
    told(expected_close_on=st.sampled_from([None, "2026-04-10", "2026-04-18", "2026-05-02"])),
    told(pipeline=st.sampled_from(["1", "2"]), stage=stages),
    told(fields=filled), told(fields_changed=single),
    st.sampled_from([{"deleted": True}, {"restored": True, "deleted": False}]),
)  # fmt: skip
dues = st.sampled_from([None, -3600, 1800, 4 * 3600, DAY, 3 * DAY])
task_told = st.one_of(
    told(due_at=dues), told(due_at=dues), told(is_open=st.booleans()),
    told(is_open=st.just(False), result=texts), told(is_open=st.booleans(), result=texts),
    some(text=texts, task_kind=st.sampled_from(["1", "2"]), is_all_day=st.booleans(),
         responsible=st.sampled_from(["7", "9", ""]), is_deferred=st.booleans(),
         result=st.sampled_from(["", "клиент просит скидку"])),
    st.sampled_from([{"deleted": True}, {"deleted": False}]),
)  # fmt: skip
first_task = st.fixed_dictionaries(
    {"text": texts, "responsible": st.sampled_from(["7", "9"])},
    optional={
        "created_by": st.sampled_from(["7", "9", "0"]), "due_at": dues, "is_open": st.booleans(),
        "task_kind": st.sampled_from(["1", "2"]), "created_at": st.sampled_from([0, 0, -40, -4000]),
        "result": texts, "author": people,
    },
)  # fmt: skip
call_told = st.fixed_dictionaries({
    "direction": st.sampled_from(["in", "out"]), "answered": st.booleans(), "author": people,
    "seconds": st.sampled_from([0, 9, 10, 600]), "started_at": st.sampled_from([0, -700, -3500]),
    "uniq": st.sampled_from([None, None, "u"]),
})  # fmt: skip
note_told = st.fixed_dictionaries(
    {"text": texts, "author": people, "created_at": st.sampled_from([0, -650])}
)
message_told = st.fixed_dictionaries({
    "direction": st.sampled_from(["in", "in", "out", "closed"]), "author": people,
    "created_at": st.sampled_from([0, -30]),
})  # fmt: skip
lead_told = st.fixed_dictionaries(
    {"state": st.sampled_from(["new", "in_work", "accepted", "declined", "processed"])},
    optional={
        "category": st.just("form"), "source": st.sampled_from([None, "сайт"]), "author": people,
        "responsible": st.sampled_from([None, "7"]), "closed_at": st.sampled_from([None, 0]),
        "decline_reason": st.sampled_from(["1", "2"]), "deleted": st.just(True),
    },
)
person_told = some(has_phone=st.booleans(), has_email=st.booleans())

GAPS = (1, 2, 61, 299, 599, 600, 601, 1799, 1801, 3599, 3601, 9000, 40_000, DAY - 7, 9 * DAY)
gaps = st.sampled_from(GAPS)
versions = st.one_of(
    *[st.tuples(st.just(Kind.DEAL), st.just("1"), deal_told)] * 5,
    *[st.tuples(st.just(Kind.TASK), st.sampled_from(["t1", "t2"]), task_told)] * 4,
    st.tuples(st.just(Kind.CALL), st.sampled_from(["c1", "c2", "c3", "c4"]), call_told),
    st.tuples(st.just(Kind.CALL), st.sampled_from(["c1", "c2", "c3", "c4"]), call_told),
    st.tuples(st.just(Kind.NOTE), st.sampled_from(["n1", "n2"]), note_told),
    st.tuples(st.just(Kind.MESSAGE), st.sampled_from(["m1", "m2", "m3"]), message_told),
    st.tuples(st.just(Kind.MESSAGE), st.sampled_from(["m1", "m2", "m3"]), message_told),
    st.tuples(
        st.sampled_from([Kind.CALL, Kind.NOTE, Kind.MESSAGE]),
        st.sampled_from(["c1", "n1", "m1"]),
        st.just({"deleted": True}),
    ),
    st.tuples(st.just(Kind.CONTACT), st.sampled_from(["5", "6"]), person_told),
)
Told = tuple[int, bool, bool, tuple[Kind, str, dict[str, Any]]]
happened = st.lists(
    st.tuples(gaps, st.booleans(), st.sampled_from([False] * 5 + [True]), versions),
    min_size=6, max_size=24,
)  # fmt: skip


class Case(NamedTuple):
    """A deal's own facts, and those lent to it."""

    own: list[Fact]
    lent: list[Fact]


@st.composite
def cases(draw: Any, start: int) -> Case:
    """A deal that is told of at `start`, some days before and after it."""
    born = start - draw(st.sampled_from([0, 0, 1200, 3 * DAY]))
    first = {"pipeline": "1", "stage": draw(stages), "name": "Окна", "created_at": born}
    first |= draw(st.fixed_dictionaries({}, optional={
        "created_by": people, "responsible": st.sampled_from(["7", "9"]), "fields": filled,
        "amount": st.just(70_000), "inquired_at": st.just(born - 2 * DAY), "author": people,
        "accepted_at": st.just(born + 100),
    }))  # fmt: skip
    own, lent = [Fact(Kind.DEAL, "1", start, first)], []
    seen: set[str] = set()
    said: set[int] = set()
    at = start - draw(st.sampled_from([1, 7, DAY + 9, 3 * DAY]))
    for gap, is_lent, again, (kind, subject, drawn) in draw(happened):
        at += gap
        body = dict(drawn)
        when = max(at, start) if kind is Kind.DEAL else at
        if kind is Kind.TASK and subject not in seen:
            body = draw(first_task)
            seen.add(subject)
        for name in ("due_at", "created_at", "started_at"):
            if body.get(name) is not None:
                body[name] += when
        _apart(body, said)
        away = is_lent if kind in {Kind.CALL, Kind.NOTE, Kind.MESSAGE} else kind is Kind.CONTACT
        rank = Rank.FETCHED if again else Rank.HOOK
        found = Fact(kind, f"{subject}{'x' * away}", when, _of(kind, body), rank)
        (lent if away else own).append(found)
        if again and kind is Kind.DEAL:  # another version of the same instant
            own.append(Fact(kind, subject, when, draw(deal_told), Rank.HISTORY))
    if draw(st.booleans()):
        inquiry = {"created_at": born - draw(st.sampled_from([60, 2 * DAY]))}
        lent.append(Fact(Kind.LEAD, "a", inquiry["created_at"], inquiry))
    return Case(own, lent)


def _apart(body: dict[str, Any], said: set[int]) -> None:
    """What is said at one instant has no order: everything that is said has its own."""
    for name in ("started_at", "created_at"):
        if name in body:
            while body[name] in said:
                body[name] -= 1
            said.add(body[name])


def _of(kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
    return body if kind in {Kind.DEAL, Kind.CONTACT} else {"deal": "1"} | body


@st.composite
def inquiries(draw: Any, start: int) -> list[Fact]:
    """An inquiry with the calls and messages made for it."""
    first = {"created_at": start - draw(st.sampled_from([0, 500]))}
    at, found = start, [Fact(Kind.LEAD, "a", start, first | draw(lead_told))]
    said: set[int] = set()
    spoken: list[tuple[Kind, Any]] = [
        (Kind.LEAD, lead_told), (Kind.LEAD, lead_told),
        (Kind.CALL, call_told), (Kind.MESSAGE, message_told),
    ]  # fmt: skip
    for number in range(draw(st.integers(0, 8))):
        at += draw(gaps)
        kind, bodies = draw(st.sampled_from(spoken))
        body = dict(draw(bodies))
        for name in ("started_at", "created_at", "closed_at"):
            if body.get(name) is not None:
                body[name] += at
        _apart(body, said)
        found.append(Fact(kind, "a" if kind is Kind.LEAD else f"s{number}", at, body))
    return found


def instants(facts: Sequence[Fact]) -> set[int]:
    """Every instant that a fact names, and one second before and after."""
    named = {f.at for f in facts}
    named |= {v for f in facts for v in f.body.values() if isinstance(v, int) and v > DAY}
    return {at + by for at in named for by in (-1, 0, 1)}
