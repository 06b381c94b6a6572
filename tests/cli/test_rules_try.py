"""`dozor rules try` as an admin reads it."""

import json
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
