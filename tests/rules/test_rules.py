"""The rule file's own tests run here too; loading names what is wrong and where."""

from typing import Any

import pytest

from service.domain.directory import Directory
from service.domain.named import parse_document
from service.domain.resolving import resolve
from service.errors import ConfigError
from service.rules.book import RuleBook
from service.rules.loading import builtin_files, builtin_rules, load_book, parse_rules
from service.rules.schema import RuleTest
from service.rules.testing import Outcome, intervals, run_tests

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


LEVEL = {"on": "seller", "form": "level", "when": "seller.is_active", "level": "deals_open"}


def inside(given: str, expect: str = "") -> dict[str, str]:
    """A rule with one test inside."""
    return {"tests": f"[{{name: a, given: [{given}], expect: [{expect}]}}]"}


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
        (
            {"on": "task", "when": "task.is_open", "for": "{by: source, default: 1h}"},
            "f.yaml:9:5",
            "a task does not go by source; it may go by stage, pipeline, kind",
        ),
        ({"for": "-2wh"}, "f.yaml:9:5", "a span of working time cannot be negative"),
        ({"join": "1wd"}, "f.yaml:9:5", "'1wd' is no gap"),
        ({"needs": "[telefony]"}, "f.yaml:9:5", "did you mean telephony?"),
        ({"title": '{ru: "{stag}", en: a}'}, "f.yaml:7:5", "title: there is no value 'stag'"),
        (LEVEL | {"above": "seller.limitt"}, "f.yaml:10:5", "did you mean seller.limit?"),
        (LEVEL, "f.yaml:2:5", "above: there is no parameter 'limit'"),
        (LEVEL | {"params": "{limit: many}"}, "f.yaml:2:5", "param.limit must be a whole number"),
        (LEVEL | {"on": "account", "above": "seller.limit"}, "f.yaml:10:5", "write param.<name>"),
        (
            {
                "on": "seller",
                "form": "norm",
                "counts": "calls_out",
                "below": "param.n",
                "when": "seller.is_judged",
                "params": "{n: 2.5}",
            },
            "f.yaml:10:5",
            "below: param.n must be a whole number",
        ),
        (inside("{at: 2026-03-02 10:00, dael: {}}"), "f.yaml:9:23", "did you mean deal?"),
        (inside("{at: 2026-03-02 10:00, deal: {stag: a}}"), "f.yaml:9:23", "did you mean stage?"),
        (inside("{at: 2026-03-02 10:00, deal: 5}"), "f.yaml:9:23", "deal must be a map"),
        (inside("{deal: {}}"), "f.yaml:9:23", "line 1: at is missing; write for example"),
        (inside("{at: 2026-03-02 10:00}"), "f.yaml:9:23", "must be `at` and one fact"),
        (inside("", "{breach_at: 5 March}"), "f.yaml:9:34", "'5 March' is no instant"),
        (
            inside("", "{breach_at: 2026-03-02 10:00, resolvd_at: 1}"),
            "f.yaml:9:34",
            "did you mean resolved_at?",
        ),
        ({"for": "{by: sources, default: 1h}"}, "f.yaml:9:11", "rules.0.for.by"),
        ({"severity": "loud"}, "f.yaml:6:5", "severity"),
        ({"whem": "1"}, "f.yaml:9:5", "whem"),
        ({"critical_when": "deal.amont > 5"}, "f.yaml:9:5", "did you mean deal.amount?"),
        ({"critical_when": "deal.amount"}, "f.yaml:9:5", "true or false"),
        ({"since": "deal.created_at if param.soon"}, "f.yaml", "no parameter 'soon'"),
        ({"info_when": "deal.amount"}, "f.yaml:9:5", "true or false"),
        ({"critical_when": "deal.closed_at > 3"}, "f.yaml:9:5", "deal.closed_at != null"),
        (
            {
                "on": "seller",
                "form": "level",
                "level": "deals_open",
                "when": "seller.is_active",
                "critical_when": "seller.is_active",
                "above": "seller.limit",
            },
            "f.yaml:10:5",
            "a seller has no such thing",
        ),
    ],
)
def test_wrong_rule_is_refused_with_its_place(
    changes: dict[str, str], place: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_rules(rule(**changes), "f.yaml")
    assert str(caught.value).startswith(place), str(caught.value)
    assert words in str(caught.value)


def test_built_in_files_are_without_a_fault_and_read_fast_as_they_are_read_carefully() -> None:
    careful = [model for name, text in builtin_files().items() for model in parse_rules(text, name)]
    assert builtin_rules() == careful


def test_no_yaml_is_refused_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"f\.yaml:3:3: "):
        parse_rules("rules:\n  - [id\n  }\n", "f.yaml")


def test_rule_speaks_for_rules_that_there_are() -> None:
    assert load_book(rule(silences="[deal-stuck, my-rule, '*']"), "f.yaml").models
    with pytest.raises(ConfigError, match=r"my-rule: silences: .*did you mean deal-stuck"):
        load_book(rule(silences="[deal-stuk]"), "f.yaml")


@pytest.mark.parametrize(
    ("given", "settings", "problem"),
    [
        ({"stage": "open", "amount": "many"}, {}, "the facts cannot be read: "),
        ({"stage": "open"}, {"limit": 5}, "settings: limit: there is no such setting"),
    ],
)
def test_what_a_test_says_wrongly_is_its_outcome(
    given: dict[str, Any], settings: dict[str, Any], problem: str
) -> None:
    (model,) = parse_rules(rule(), "f.yaml")
    test = RuleTest(name="a", settings=settings, given=[{"at": "2026-03-02 12:00", "deal": given}])
    (outcome,) = run_tests([model.model_copy(update={"tests": [test]})])
    assert outcome.problem.startswith(problem), outcome.problem


def test_file_of_rules_extends_the_built_in_ones() -> None:
    book = load_book(rule(), "f.yaml")
    assert "my-rule" in book.models
    assert "task-overdue" in book.models


def severities(settings: dict[str, Any]) -> list[str]:
    text = rule(critical_when="deal.amount >= 100000", since="deal.created_at", for_="1h")
    (model,) = parse_rules(text, "f.yaml")
    test = RuleTest(
        name="two stretches of one deal", settings=settings,
        given=[
            {"at": "2026-03-02 12:00", "deal": {"stage": "open", "amount": 0}},
            {"at": "2026-03-02 12:30", "deal": {"amount": 100_000}},
            {"at": "2026-03-02 14:00", "deal": {"stage": "lost", "author": "7"}},
            {"at": "2026-03-02 15:00", "deal": {"amount": 50, "author": "7"}},
            {"at": "2026-03-02 16:00", "deal": {"stage": "open", "author": "7"}},
            {"at": "2026-03-02 17:00", "deal": {"amount": 100_000}},
        ],
    )  # fmt: skip
    return [found.severity for found in intervals(model, test)[1]]


def test_severity_is_raised_by_what_is_true_at_the_breach() -> None:
    assert severities({}) == ["critical", "info"]


def test_severity_that_the_account_sets_is_the_last_word() -> None:
    assert severities({"rules": {"my-rule": {"severity": "warning"}}}) == ["warning", "warning"]


def test_what_raises_the_severity_belongs_to_the_version() -> None:
    texts = [rule(), rule(critical_when="deal.amount > 5"), rule(critical_when="deal.amount > 6")]
    books = [RuleBook(parse_rules(text, "f.yaml")) for text in texts]
    config = resolve("a", "amocrm", Directory(), parse_document({}))
    versions = {book.in_force(config)[0].version for book in books}
    assert len(versions) == 3
