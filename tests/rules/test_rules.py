"""The rule file's own tests run here too; loading names what is wrong and where."""

import pytest

from service.errors import ConfigError
from service.rules.book import builtin_rules, load_book, parse_rules
from service.rules.testing import Outcome, run_tests

RULES = builtin_rules()


@pytest.mark.parametrize("outcome", run_tests(RULES), ids=lambda o: f"{o.rule}: {o.test}")
def test_built_in_rule(outcome: Outcome) -> None:
    assert outcome.problem == ""


def test_each_rule_has_a_violating_and_a_fine_timeline() -> None:
    for model in RULES:
        assert any(test.expect for test in model.tests), model.id
        assert any(not test.expect for test in model.tests), model.id


def rule(**changes: str) -> str:
    lines = {
        "id": "my-rule", "on": "deal", "form": "state", "when": "deal.is_open",
        "severity": "info", "title": "{ru: a, en: b}", "advice": "{ru: a, en: b}",
    } | changes  # fmt: skip
    first, *rest = [f"{key.rstrip('_')}: {value}" for key, value in lines.items()]
    return "rules:\n  - " + first + "".join(f"\n    {line}" for line in rest) + "\n"


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({"when": "deal.opn_tasks == 0"}, "f.yaml:5:5", "did you mean deal.open_tasks?"),
        ({"when": "deal.is_open &&"}, "f.yaml:5:5", "line 1, column 17"),
        ({"when": "deal.amount == 'x'"}, "f.yaml:5:5", "no matching overload"),
        ({"when": "deal.closed_at > 3"}, "f.yaml:5:5", "deal.closed_at != null"),
        ({"when": "deal.amount"}, "f.yaml:5:5", "true or false"),
        ({"since": "deal.amount"}, "f.yaml:9:5", "is no instant of a deal"),
        ({"for": "5wdd"}, "f.yaml:9:5", "no span of time"),
        ({"severity": "loud"}, "f.yaml:6:5", "severity"),
        ({"whem": "1"}, "f.yaml:9:5", "whem"),
    ],
)
def test_wrong_rule_is_refused_with_its_place(
    changes: dict[str, str], place: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_rules(rule(**changes), "f.yaml")
    assert str(caught.value).startswith(place), str(caught.value)
    assert words in str(caught.value)


def test_no_yaml_is_refused_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"f\.yaml:3:3: "):
        parse_rules("rules:\n  - [id\n  }\n", "f.yaml")


def test_file_of_rules_extends_the_built_in_ones() -> None:
    book = load_book(rule(), "f.yaml")
    assert "my-rule" in book.models
    assert "task-overdue" in book.models
