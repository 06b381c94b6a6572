"""`dozor plan import|export`: the same file there and back, on a real database."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.cli.guard import guarded
from service.cli.main import app
from tests.world import connect_account, make_office

Run = Callable[..., tuple[int, str, str]]
PLANS = (
    "Показатель;Период;Менеджер;План\nПоступления;01.12.2026;Иванов;1 234,50\nПродажи;2027;;120\n"
)


@pytest.fixture
def run(
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    office = make_office(sqlite_url)
    connect_account(office)
    office.close()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOZOR_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("DOZOR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DOZOR_LOG_LEVEL", "error")
    monkeypatch.setenv("DOZOR_SECRET_KEY", "0123456789abcdef0123")

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dozor", *arguments])
        code = guarded(app)
        told = capfd.readouterr()
        return code, told.out, told.err

    return command


def imported(run: Run, *arguments: str, code: int = 0) -> dict[str, Any]:
    found = run("plan", "import", *arguments, "--account", "romashka", "--json")
    assert found[0] == code, found
    document: dict[str, Any] = json.loads(found[1])
    return document


def test_import_and_export(run: Run, tmp_path: Path) -> None:
    (tmp_path / "plans.csv").write_bytes(PLANS.encode("cp1251"))
    assert imported(run, "plans.csv", "--dry-run")["created"] == 2
    assert run("plan", "export")[1].count("\n") == 1  # the heading: nothing was written
    assert imported(run, "plans.csv")["created"] == 2
    assert imported(run, "plans.csv")["unchanged"] == 2
    for name in ("out.csv", "out.xlsx"):
        assert run("plan", "export", name)[0] == 0
        assert imported(run, name)["unchanged"] == 13
    whole = run("plan", "export", "--excel-ru", "--period", "2026-12")[1]
    assert "romashka;receipts;2026-12;;romashka.7;1234,50;RUB;draft;false" in whole


def test_a_rejected_row_stops_all(run: Run, tmp_path: Path) -> None:
    (tmp_path / "plans.csv").write_text(PLANS + "Продажи;2028;Никто;1\n", encoding="utf-8")
    found = imported(run, "plans.csv", code=1)
    assert (found["created"], found["rejected"], found["errors"][0]["row"]) == (0, 1, 4)
    told = run("plan", "import", "plans.csv", "--account", "romashka")
    assert "Nothing is written: 1 rows are rejected." in told[1]
    assert imported(run, "plans.csv", "--partial")["created"] == 2


def test_what_a_cell_holds_is_shown_as_it_is(run: Run, tmp_path: Path) -> None:
    """Square brackets are no markup of the terminal's."""
    text = "metric,period,value\ndeals_won,2026-12,[/x]\ndeals_won,2026-11,[red]5\n"
    (tmp_path / "plans.csv").write_text(text, encoding="utf-8")
    code, told, _ = run("plan", "import", "plans.csv", "--account", "romashka")
    assert code == 1
    assert "[/x]" in told
    assert "[red]5" in told


def test_titles_are_in_the_language_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def title(*arguments: str) -> str:
        listed = json.loads(run("kpi", "list", "--json", *arguments)[1])
        return str(next(row["title"] for row in listed if row["slug"] == "receipts"))

    assert (title("--lang", "ru"), title("--lang", "en")) == ("Поступления", "Receipts")
    monkeypatch.setenv("DOZOR_LANG", "en")
    assert title() == "Receipts"
    code, _, error = run("rules", "list", "--lang", "de")
    assert (code, "--lang" in error) == (2, True)
