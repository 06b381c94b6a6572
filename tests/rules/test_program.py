"""Conditions as one program: taken apart rightly, and answering as the expression engine does."""

from dataclasses import replace
from functools import cache
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest

from service.domain.config import Config
from service.domain.named import parse_document
from service.rules.attribute import Attribute, plain
from service.rules.book import Rule
from service.rules.clause import read_clause, split
from service.rules.expression import Condition, ConditionFailed
from service.rules.loading import load_book
from service.rules.program import Program
from service.rules.segments import Segment
from tests import world

FLAG = plain("x.flag", "bool", "")
COUNT = plain("x.count", "int", "")
MAYBE = plain("x.maybe", "int?", "")
AT = plain("x.at", "instant", "")
WORD = plain("x.word", "text", "")
SAID = plain("x.said", "text?", "")
SOME = plain("x.some", "list", "")
ALL = {a.name: a for a in (FLAG, COUNT, MAYBE, AT, WORD, SAID, SOME)}
PARAMS = {"limit": 2, "name": "b"}
VALUES: dict[str, tuple[Any, ...]] = {
    "flag": (True, False), "count": (1, 2, 3), "maybe": (None, 1, 3), "at": (None, 5),
    "word": ("a", "b"), "said": (None, "b"), "some": ((), ("a",), ("a", "b")),
}  # fmt: skip
CONFIG = Config(world.ACCOUNT, "amocrm", world.MOSCOW, "RUB", world.DIRECTORY, parse_document({}))
SIMPLE = [
    "x.flag", "!x.flag", "x.count == 2", "x.count != param.limit", "x.count >= param.limit",
    "x.count < -1", "x.maybe == null", "x.maybe != null && x.maybe > 1", "x.at == null",
    "x.word == param.name", 'x.word == "a"', "x.word != 'a'", "x.said == param.name",
    "size(x.some) > 1", "x.flag && x.count > 1 && size(x.some) == 0",
]  # fmt: skip
OTHER = [
    "x.flag || x.count > 2", "x.flag && (x.count == 1 || x.maybe == null)",
    "x.count * 2 > param.limit", "x.flag ? x.count > 1 : x.count < 3", "x.word in x.some",
    "x.maybe == null || x.maybe > 1", "!(x.flag && x.count > 1)", "2 < x.count",
    "x.said == null && x.word == 'a' && x.count + 1 > 2",
    "x.flag // said of && x.word == 'a' &&\n && x.count > 1",
    r"x.flag && x.word != 'a\\' && x.count > 1",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a && b", ["a", "b"]),
        ("a && (b && c) && d", ["a", "(b && c)", "d"]),
        ("a || b && c", ["a || b && c"]),
        ("a && (b || c)", ["a", "(b || c)"]),
        ("a == '&&' && b == \"x || y\"", ["a == '&&'", 'b == "x || y"']),
        (r"a == 'it\'s && so' && b", [r"a == 'it\'s && so' && b"]),
        (r"a == 'b\\' && c == 'd && e'", [r"a == 'b\\' && c == 'd && e'"]),
        ("a // && b &&\n  && c", ["a // && b &&\n  && c"]),
        ("a ? b && c : d", ["a ? b && c : d"]),
        ("true", ["true"]),
    ],
)
def test_a_condition_is_split_at_its_topmost_ands(text: str, parts: list[str]) -> None:
    """Quotes and brackets hide theirs; alternatives stay whole."""
    assert split(text) == parts


@pytest.mark.parametrize(
    "text",
    ["x.count", "x.flag == 1", "x.word > 2", "x.count == null", "x.maybe < null",
     "size(x.word) > 1", "x.count > param.unknown", "x.other", "x.count > 1 + 1", "x.at > x.maybe"],
)  # fmt: skip
def test_what_is_not_so_simple_is_left_to_the_engine(text: str) -> None:
    """Types that Python would compare otherwise, and whatever is computed."""
    assert read_clause(text, ALL, PARAMS) is None


@pytest.mark.parametrize("text", [*SIMPLE, *OTHER])
def test_a_program_answers_as_the_engine_does(text: str) -> None:
    """Over all combinations of values, each alone and all rules in one program."""
    rules = [rule(other) for other in (text, *SIMPLE[:4], *OTHER[:2])]
    whole = [rule.condition for rule in rules]
    states = [
        SimpleNamespace(**dict(zip(VALUES, values, strict=True)))
        for values in product(*VALUES.values())
    ]
    segments = [segment(i, state) for i, state in enumerate(states)]
    answers = Program(rules).run(segments, CONFIG)
    for condition, answer in zip(whole, answers, strict=True):
        assert isinstance(answer, int)
        assert [bool(answer >> i & 1) for i in range(len(states))] == [
            condition.holds(condition.values(state, CONFIG)) for state in states
        ]


def test_a_rule_that_fails_leaves_the_others_their_answers() -> None:
    """`maybe` is guarded by a flag that tells nothing of it: no answer where it is null."""
    sound, broken = rule("x.flag"), rule("x.flag && x.maybe != null")
    broken = replace(broken, condition=unguarded())
    state = SimpleNamespace(flag=True, count=1, maybe=None, at=None, word="", said=None, some=())
    answers = Program([sound, broken]).run([segment(0, state)], CONFIG)
    assert answers[0] == 1
    assert isinstance(answers[1], ConditionFailed)
    calm = SimpleNamespace(**{**vars(state), "flag": False})
    assert list(Program([sound, broken]).run([segment(0, calm)], CONFIG)) == [0, 0]


def test_segments_that_are_not_judged_hold_nothing() -> None:
    """Deleted, excluded or test deals."""
    state = SimpleNamespace(flag=True)
    out = segment(0, state)._replace(judged=False)
    assert list(Program([rule("x.flag")]).run([out, segment(1, state)], CONFIG)) == [0b10]


def test_most_of_the_catalogue_needs_no_engine() -> None:
    """What it is for: of the built-in conditions, few ask what is not simple."""
    rules = load_book().in_force(CONFIG)
    asking = [rule.id for rule in rules if rule.condition.rest is not None]
    assert len(asking) < len(rules) / 4, asking


@cache
def rule(text: str) -> Rule:
    """A rule with a condition over the attributes of this page."""
    any_rule = load_book().in_force(CONFIG)[0]
    return replace(any_rule, condition=Condition(text, ALL, PARAMS), condition_by_place={})


def unguarded() -> Condition:
    """A condition that the probe at load would have refused."""
    known: dict[str, Attribute] = ALL | {"x.maybe": replace(MAYBE, type="int")}
    return Condition("x.flag && x.maybe + 1 > 1", known, PARAMS)


def segment(start: int, state: Any) -> Segment:
    """One instant long."""
    return Segment(start, start + 1, state, True, "7")
