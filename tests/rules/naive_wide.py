"""Cases at random for the second look at facts: wider than what the naive judge walks through.

Beside a deal, its tasks and its calls: what the client said on the own timeline and before the
deal, inquiries, custom fields, persons, restored deletions, what one person undid at once, tasks
done and undone, versions of one instant.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

from msgspec.structs import replace

from service.domain.config import Config
from service.domain.directory import CustomField, Directory, Stage, StageKind, TaskKind
from service.domain.facts import Fact, Kind, Rank
from service.domain.named import parse_document
from service.domain.resolving import resolve
from tests.rules import naive_draws as draws
from tests.rules.naive_world import FIRST, STAGES, directory

DAY = 86_400
ALL_STAGES = (Stage(id="in", name="Неразобранное", sort=0, kind=StageKind.INCOMING), *STAGES)
OWN_LINE: dict[str, Any] = {
    "required": {
        "Новая": ["source", "ИНН"],
        "КП": ["budget", "contact"],
        "Договор": ["phone", "company"],
    },
    "commented": ["КП"],
    "mandatory": ["КП", "Договор"],
}
PLAIN = FIRST | {
    "pipelines": {"exclude": ["Доставка"], "Продажи": OWN_LINE},
    "hot_tags": ["VIP"],
    "test_tags": ["Тест"],
}
MAPPED = FIRST | {
    "fields": {
        "source": "Канал",
        "budget": "Бюджет",
        "loss_reason": "Причина",
        "close_date": "Срок",
    },
    "pipelines": {"Продажи": OWN_LINE | {"late_from": "КП", "hot_amount": 500}},
    "spam_reasons": ["Спам"],
    "junk": ["хз"],
    "stop_texts": ["Отправить смету клиенту"],
}


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


people = draws.sampled_from(["7", "9", "0", "7", "9", "55", None])
texts = draws.sampled_from(
    [
        "ок",
        "перезвонить",
        "Отправить смету клиенту",
        "отправить  смету клиенту",
        "клиент просит скидку",
        "Согласовать замер окна",
    ]
)
stages = draws.sampled_from(
    ["in", "open", "open", "offer", "offer", "contract", "contract", "won", "lost"]
)
filled = draws.dictionaries(
    draws.sampled_from(["f1", "f2", "f3", "f4", "f5"]),
    draws.sampled_from(["100", "900", "2026-04-10", "2026-05-20", "Спам", "---", "хз", "77"]),
    0,
    4,
)
single = draws.dictionaries(
    draws.sampled_from(["f1", "f2", "f3", "f4", "f5"]),
    draws.sampled_from(["", "100", "700", "2026-04-12", "2026-07-01", "Спам", "77"]),
    1,
    2,
)


def some(**one: Any) -> Any:
    """A version that tells some of these."""
    return draws.fixed_dictionaries({}, optional=one | {"author": people})


def told(**all_of_them: Any) -> Any:
    return draws.fixed_dictionaries({**all_of_them, "author": people})


close_dates = draws.sampled_from([None, "2026-04-10", "2026-04-18", "2026-05-02", "2026-06-02"])
deal_told = draws.one_of(
    told(stage=stages),
    told(stage=stages),
    told(stage=stages, loss_reason=draws.just("1")),
    told(stage=stages, amount=draws.sampled_from([0, 90, 50_000, 90_000])),
    told(amount=draws.sampled_from([0, 90, 50_000, 90_000])),
    told(responsible=draws.sampled_from(["7", "9", "", None])),
    told(responsible=draws.sampled_from(["7", "9"])),
    some(
        loss_reason=draws.sampled_from([None, "1", "2"]),
        source=draws.sampled_from([None, "", "сайт"]),
        name=draws.sampled_from(
            ["Сделка #17", "Новая сделка", "Окна Иванова", "8 (912) 345-67-89"]
        ),
        currency=draws.just("EUR"),
        company=draws.sampled_from([None, "co1"]),
        contacts=draws.sampled_from([[], ["5"]]),
        tags=draws.sampled_from([[], ["vip"], ["тест"]]),
        expected_close_on=draws.sampled_from([None, "2026-04-10", "2026-04-15", "2026-05-02"]),
    ),
    told(expected_close_on=draws.sampled_from([None, "2026-04-10", "2026-04-18", "2026-05-02"])),
    told(pipeline=draws.sampled_from(["1", "2"]), stage=stages),
    told(fields=filled),
    told(fields_changed=single),
    draws.sampled_from([{"deleted": True}, {"restored": True, "deleted": False}]),
)
dues = draws.sampled_from(
    [None, -DAY, 600, 4 * 3600, 4 * 3600, 3 * DAY, 3 * DAY, 9 * DAY]
)  # from the start on
task_told = draws.one_of(
    told(due_at=dues),
    told(due_at=dues),
    told(is_open=draws.booleans()),
    told(is_open=draws.just(False), result=texts),
    told(is_open=draws.booleans(), result=texts),
    some(
        text=texts,
        task_kind=draws.sampled_from(["1", "2"]),
        is_all_day=draws.booleans(),
        responsible=draws.sampled_from(["7", "9", ""]),
        is_deferred=draws.booleans(),
        result=draws.sampled_from(["", "клиент просит скидку"]),
    ),
    draws.sampled_from([{"deleted": True}, {"deleted": False}]),
)
first_task = draws.fixed_dictionaries(
    {"text": texts, "responsible": draws.sampled_from(["7", "9"])},
    optional={
        "created_by": draws.sampled_from(["7", "9", "0"]),
        "due_at": dues,
        "is_open": draws.booleans(),
        "task_kind": draws.sampled_from(["1", "2"]),
        "created_at": draws.sampled_from([0, 0, -40, -4000]),
        "result": texts,
        "author": people,
    },
)
call_told = draws.fixed_dictionaries(
    {
        "direction": draws.sampled_from(["in", "out"]),
        "answered": draws.booleans(),
        "author": people,
        "seconds": draws.sampled_from([0, 9, 10, 600]),
        "started_at": draws.sampled_from([0, -700, -3500]),
        "uniq": draws.sampled_from([None, None, "u"]),
    }
)
note_told = draws.fixed_dictionaries(
    {"text": texts, "author": people, "created_at": draws.sampled_from([0, -650])}
)
message_told = draws.fixed_dictionaries(
    {
        "direction": draws.sampled_from(["in", "in", "out", "closed"]),
        "author": people,
        "created_at": draws.sampled_from([0, -30]),
    }
)
lead_told = draws.fixed_dictionaries(
    {"state": draws.sampled_from(["new", "in_work", "accepted", "declined", "processed"])},
    optional={
        "category": draws.just("form"),
        "source": draws.sampled_from([None, "сайт"]),
        "author": people,
        "responsible": draws.sampled_from([None, "7"]),
        "closed_at": draws.sampled_from([None, 0]),
        "decline_reason": draws.sampled_from(["1", "2"]),
        "deleted": draws.just(True),
    },
)
person_told = some(has_phone=draws.booleans(), has_email=draws.booleans())

SHORT_GAPS, LONG_GAPS = (1, 2, 61, 299), (599, 600, 601, 1799, 1801, 3599, 3601, 9000, 40_000)
gaps = draws.sampled_from([*SHORT_GAPS * 3, *LONG_GAPS, DAY - 7, 9 * DAY])
ONE_TEXT = "Согласовать замер окна"
twin = draws.fixed_dictionaries(
    {
        "author": draws.sampled_from(["7", "7", "0"]),
        "text": draws.sampled_from(
            [ONE_TEXT, ONE_TEXT, ONE_TEXT.lower(), "согласовать  замер окна"]
        ),
        "due_at": draws.sampled_from([3600, 3600, 4 * 3600, 2 * DAY]),
    },
    optional={
        "is_open": draws.sampled_from([True, True, False]),
        "responsible": draws.sampled_from(["7", "7", "9"]),
        "deleted": draws.sampled_from([False, False, False, True]),
    },
)
dragged = draws.fixed_dictionaries(
    {"author": draws.just("7"), "due_at": draws.sampled_from([3600, 7200, 4 * 3600])}
)
moved_back = draws.fixed_dictionaries(
    {
        "author": draws.sampled_from(["7", "7", None]),
        "stage": draws.sampled_from(["offer", "contract"]),
    },
    optional={"amount": draws.sampled_from([50_000, 90_000]), "responsible": people},
)


def about(kind: Kind, subjects: str, bodies: Any) -> Any:
    return draws.tuples(draws.just(kind), draws.sampled_from(subjects.split()), bodies)


of_deal = about(Kind.DEAL, "1", deal_told)
of_tasks = about(Kind.TASK, "t1 t2", task_told)
said = draws.one_of(
    about(Kind.CALL, "c1 c2 c3 c4", call_told),
    about(Kind.CALL, "c1 c2 c3 c4", call_told),
    about(Kind.NOTE, "n1 n2", note_told),
    about(Kind.MESSAGE, "m1 m2 m3", message_told),
    about(Kind.MESSAGE, "m1 m2 m3", message_told),
    about(Kind.MESSAGE, "m1 m2 m3", draws.sampled_from([{"deleted": True}, {"author": "7"}])),
    about(Kind.CALL, "c1 c2", draws.just({"deleted": True})),
    about(Kind.NOTE, "n1 n2", draws.just({"deleted": True})),
    about(Kind.CONTACT, "5 6", person_told),
)
everything = draws.one_of(of_deal, of_deal, of_tasks, of_tasks, said)
THEMES = (  # of everything a little, or much of one thing
    everything,
    everything,
    draws.one_of(said, said, said, of_tasks),
    draws.one_of(
        about(Kind.DEAL, "1", told(expected_close_on=close_dates)),
        about(Kind.DEAL, "1", told(fields_changed=single)),
        of_deal,
    ),
    draws.one_of(of_deal, about(Kind.DEAL, "1", moved_back), about(Kind.DEAL, "1", moved_back)),
    draws.one_of(about(Kind.TASK, "t1 t2 t3", twin), about(Kind.TASK, "t1", twin)),
    draws.one_of(about(Kind.TASK, "t1", dragged), said, of_tasks),
    draws.one_of(of_tasks, said),
)
Told = tuple[int, bool, bool, tuple[Kind, str, dict[str, Any]]]


def happened(random: Random) -> list[Told]:
    """What happened, with the gaps before it."""
    theme = random.choice(THEMES)
    again = draws.sampled_from([False] * 5 + [True])
    told: list[Told] = draws.lists(draws.tuples(gaps, draws.booleans(), again, theme), 4, 26)(
        random
    )
    return told


class Case(NamedTuple):
    """A deal's own facts, and those lent to it."""

    own: list[Fact]
    lent: list[Fact]


def case_of(seed: int, start: int) -> Case:
    """A deal that is told of at `start`, some days before and after it."""
    random = Random(seed)

    def draw(drawn: draws.Draw) -> Any:
        return drawn(random)

    born = start - draw(draws.sampled_from([0, 0, 1200, 3 * DAY]))
    first = {"pipeline": "1", "stage": draw(stages), "name": "Окна", "created_at": born}
    first |= draw(
        draws.fixed_dictionaries(
            {},
            optional={
                "created_by": people,
                "responsible": draws.sampled_from(["7", "9"]),
                "fields": filled,
                "amount": draws.just(70_000),
                "inquired_at": draws.just(born - 2 * DAY),
                "author": people,
                "accepted_at": draws.just(born + 100),
            },
        )
    )
    own = [Fact(Kind.DEAL, "1", start, first)]
    lent: list[Fact] = []
    seen: set[str] = set()
    taken: set[int] = set()
    at = start - draw(draws.sampled_from([1, 7, DAY + 9, 3 * DAY]))
    for gap, is_lent, again, (kind, subject, drawn) in draw(happened):
        at += gap
        body = dict(drawn)
        when = max(at, start) if kind is Kind.DEAL else at
        if kind is Kind.TASK and subject not in seen:
            body = draw(first_task) | body
            seen.add(subject)
        for name in ("due_at", "created_at", "started_at"):
            if body.get(name) is not None:
                body[name] += start if name == "due_at" else when
        _apart(body, taken)
        away = is_lent if kind in {Kind.CALL, Kind.NOTE, Kind.MESSAGE} else kind is Kind.CONTACT
        rank = Rank.FETCHED if again else Rank.HOOK
        found = Fact(kind, f"{subject}{'x' * away}", when, _of(kind, body), rank)
        (lent if away else own).append(found)
        if again and kind is Kind.DEAL and when > start:  # another version of the same instant
            own.append(Fact(kind, subject, when, draw(moved_back), Rank.HISTORY))
    if draw(draws.booleans()):
        inquiry = {"created_at": born - draw(draws.sampled_from([60, 2 * DAY]))}
        lent.append(Fact(Kind.LEAD, "a", inquiry["created_at"], inquiry))
    return Case(own, lent)


def _apart(body: dict[str, Any], taken: set[int]) -> None:
    """What is said at one instant has no order: everything that is said has its own."""
    for name in ("started_at", "created_at"):
        if name in body:
            while body[name] in taken:
                body[name] -= 1
            taken.add(body[name])


def _of(kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
    return body if kind in {Kind.DEAL, Kind.CONTACT} else {"deal": "1"} | body


def inquiry_of(seed: int, start: int) -> list[Fact]:
    """An inquiry with the calls and messages made for it."""
    random = Random(seed)

    def draw(drawn: draws.Draw) -> Any:
        return drawn(random)

    first = {"created_at": start - draw(draws.sampled_from([0, 500]))}
    at, found = start, [Fact(Kind.LEAD, "a", start, first | draw(lead_told))]
    taken: set[int] = set()
    spoken: list[tuple[Kind, draws.Draw]] = [
        (Kind.LEAD, lead_told),
        (Kind.LEAD, lead_told),
        (Kind.CALL, call_told),
        (Kind.MESSAGE, message_told),
    ]
    for number in range(draw(draws.integers(0, 8))):
        at += draw(gaps)
        kind, bodies = draw(draws.sampled_from(spoken))
        body = dict(draw(bodies))
        for name in ("started_at", "created_at", "closed_at"):
            if body.get(name) is not None:
                body[name] += at
        _apart(body, taken)
        found.append(Fact(kind, "a" if kind is Kind.LEAD else f"s{number}", at, body))
    return found


def instants(facts: Sequence[Fact]) -> set[int]:
    """Every instant that a fact names, and one second before and after."""
    named = {f.at for f in facts}
    named |= {v for f in facts for v in f.body.values() if isinstance(v, int) and v > DAY}
    return {at + by for at in named for by in (-1, 0, 1)}
