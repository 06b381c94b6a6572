"""`dozor account history|rollback` as an admin uses them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from service.cli.guard import guarded
from service.cli.main import app
from service.store.schema import migrate
from tests import world


@pytest.fixture
def dozor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    url = f"sqlite:///{tmp_path / 'dozor.db'}"
    office = world.make_office(url, "2026-03-10 12:30")
    migrate(office.engine)
    world.connect_account(office)
    office.close()
    for name, value in {
        "DATABASE_URL": url, "DATA_DIR": str(tmp_path), "DEMO": "1",
        "CLOCK": "2026-03-10T09:30:00Zx0.001",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"DOZOR_{name}", value)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> str:
        monkeypatch.setattr("sys.argv", ["dozor", *arguments])
        assert guarded(app) == code
        told = capsys.readouterr()
        return told.out + told.err

    return run


def test_history_says_who_changed_what_and_rollback_undoes_it(
    dozor: Callable[..., str], tmp_path: Path
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("account: romashka\nrules: {deal-stuck: {for: 3wd}, task-no-text: off}\n")
    dozor("account", "apply", str(settings))
    told = dozor("account", "history", world.ACCOUNT)
    assert "2  10.03.2026 12:30  cli" in told
    assert "    rules.deal-stuck.for: - -> 3wd" in told
    assert "being judged in the background" in told
    dozor("account", "rollback", world.ACCOUNT, "1")
    found = json.loads(dozor("account", "history", world.ACCOUNT, "--json"))
    assert [version["author"] for version in found["versions"]][-1] == "cli, back to 1"
    assert {"path": "rules.deal-stuck.for", "from": "3wd", "to": None} in (
        found["versions"][-1]["changes"]
    )
    assert json.loads(dozor("account", "show", world.ACCOUNT, "--json"))["rules"] == {}


def test_an_unknown_version_is_named(dozor: Callable[..., str]) -> None:
    told = dozor("account", "rollback", world.ACCOUNT, "9", code=2)
    assert "VERSION: romashka has no version 9; there are 1" in told
