"""`dozor rules try` as an admin reads it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.cli.guard import guarded
from service.cli.main import app
from service.store.schema import migrate
from tests import world

CHANGE = """
rules:
  - id: deal-no-task
    on: deal
    form: state
    when: deal.is_open && deal.open_tasks == 0
    for: 10wm
    severity: warning
    name: {ru: "Без шага", en: "No step"}
    title: {ru: "Без шага", en: "No step"}
    advice: {ru: "Поставьте задачу", en: "Set a task"}
"""


@pytest.fixture
def dozor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """A database with a deal half an hour old without a task; runs a command in it."""
    url = f"sqlite:///{tmp_path / 'dozor.db'}"
    office = world.make_office(url, "2026-03-10 12:30")
    migrate(office.engine)
    world.connect_account(office)
    world.tell(office, [world.new_deal("1", "2026-03-10 12:00")])
    office.close()
    for name, value in {
        "DATABASE_URL": url, "DATA_DIR": str(tmp_path), "DEMO": "1",
        "CLOCK": "2026-03-10T09:30:00Zx0.001",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"DOZOR_{name}", value)
    (tmp_path / "rules.yaml").write_text(CHANGE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["dozor", *arguments])
        assert guarded(app) == 0
        return capsys.readouterr().out

    return run


def test_it_says_what_would_open_and_for_whom(dozor: Callable[..., str]) -> None:
    told = dozor("rules", "try", "rules.yaml", "--account", world.ACCOUNT)
    assert "Changed: deal-no-task" in told
    assert "Would open: 1" in told
    assert "Would close: 0" in told
    assert "10.03.2026 12:10  deal-no-task" in told


def test_data_for_programs(dozor: Callable[..., str]) -> None:
    told = json.loads(dozor("rules", "try", "rules.yaml", "--account", world.ACCOUNT, "--json"))
    assert told["changed"] == ["deal-no-task"]
    (opened,) = told["opens"]
    assert (opened["subject"], opened["breach_at"]) == ("deal:1", "2026-03-10T09:10:00Z")
    assert opened["seller"]["id"] == "7"


def test_explain_tells_the_story_of_a_deal(dozor: Callable[..., str]) -> None:
    told = dozor("rules", "explain", "1", "--account", world.ACCOUNT)
    assert told.startswith("Сделка 1 (1)")
    story = told.split("Сделка без следующего шага", 1)[1]
    assert "Отсчёт с 10.03.2026 12:00; допустимо 1 раб. ч, срок истекает 10.03.2026 13:00." in told
    assert "открытых задач: 0" in story
    assert "Закроется так: Поставьте задачу с датой" in story
    assert "Соблюдаются правила: " in told
    assert "deal-lost-no-reason" in told.split("Соблюдаются правила: ")[1]


def test_explain_says_which_days_did_not_count(dozor: Callable[..., str]) -> None:
    told = dozor("rules", "explain", "1", "--account", world.ACCOUNT, "--lang", "en")
    stuck = told.split("deal-stuck", 1)[0].rsplit("[upcoming]", 1)[1]
    assert "5 working days allowed, runs out at 17.03.2026 12:00." in stuck
    assert "Not counted: 14.03 (weekend), 15.03 (weekend)." in stuck


def test_explain_as_data(dozor: Callable[..., str]) -> None:
    found = json.loads(dozor("rules", "explain", "1", "--account", world.ACCOUNT, "--json"))
    assert {one["status"] for one in found["violations"]} == {"open", "upcoming"}
    assert found["name"] == "Сделка 1"


def test_explain_names_a_rule_that_has_no_answer(dozor: Callable[..., str]) -> None:
    failing = CHANGE.replace("deal-no-task", "my-rule").replace(
        "deal.open_tasks == 0", "100 / deal.open_tasks > 5"
    )
    Path("rules.yaml").write_text(failing, encoding="utf-8")
    dozor("rules", "apply", "rules.yaml", "--account", world.ACCOUNT)
    told = dozor("rules", "explain", "1", "--account", world.ACCOUNT)
    assert "Правило не смогло ответить: my-rule (" in told
    assert "my-rule" not in told.split("Соблюдаются правила: ")[1].splitlines()[0]
    found = json.loads(dozor("rules", "explain", "1", "--account", world.ACCOUNT, "--json"))
    assert [(one["rule"], one["subject"]) for one in found["failures"]] == [("my-rule", "deal:1")]


def test_verify_says_that_a_change_is_still_being_judged(
    dozor: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    dozor("verify", world.ACCOUNT)
    assert capsys.readouterr().err == ""
    shown = CHANGE.replace("for: 10wm", "for: 1wh").replace("warning", "info")
    Path("rules.yaml").write_text(shown.replace("deal-no-task", "my-rule"), encoding="utf-8")
    dozor("rules", "apply", "rules.yaml", "--account", world.ACCOUNT)
    sys.argv[1:] = ["verify", world.ACCOUNT]
    assert guarded(app) == 1
    assert "is still being judged" in capsys.readouterr().err


def test_diff_names_the_fields_that_a_file_changes(dozor: Callable[..., str]) -> None:
    told = dozor("rules", "diff", "rules.yaml")
    assert "deal-no-task: for: 1wh -> 10wm" in told
    assert "deal-no-task: when" not in told


def test_schema_is_the_published_one(dozor: Callable[..., str]) -> None:
    published = Path(__file__).parents[2] / "openapi" / "rules.schema.json"
    assert json.loads(dozor("rules", "schema")) == json.loads(published.read_text("utf-8"))
