"""`dozor rules apply|show|history|rollback` and `--account`, as an admin uses them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from service.cli.guard import guarded
from service.cli.main import app
from service.rules.loading import builtin_rules
from service.store.schema import migrate
from tests import world
from tests.cli.test_rules_try import CHANGE

MINE = CHANGE.replace("deal-no-task", "my-rule").replace("10wm", "20wm")


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
    (tmp_path / "mine.yaml").write_text(MINE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> str:
        monkeypatch.setattr("sys.argv", ["dozor", *arguments])
        assert guarded(app) == code
        told = capsys.readouterr()
        return told.out + told.err

    return run


ACCOUNT = ("--account", world.ACCOUNT)


def test_apply_show_history_and_the_way_back(dozor: Callable[..., str]) -> None:
    assert dozor("rules", "show", world.ACCOUNT) == "rules: []\n"
    assert "has no rules of its own" in dozor("rules", "history", world.ACCOUNT)
    told = dozor("rules", "apply", "rules.yaml", *ACCOUNT, "--reason", "norms")
    assert told == "romashka: rules version 1 is in force.\n"
    assert json.loads(dozor("rules", "apply", "mine.yaml", *ACCOUNT, "--json")) == {
        "account": world.ACCOUNT, "version": 2,
    }  # fmt: skip
    assert dozor("rules", "show", world.ACCOUNT) == MINE
    told = dozor("rules", "rollback", world.ACCOUNT, "1")
    assert "version 3 is in force; it says what 1 said" in told
    told = dozor("rules", "history", world.ACCOUNT)
    assert "1  10.03.2026 12:30  cli  norms\n    deal-no-task\n" in told
    assert "2  10.03.2026 12:30  cli\n    deal-no-task, my-rule\n" in told
    assert "3  10.03.2026 12:30  cli  back to 1\n" in told
    assert "Being judged in the background: 0 of ? timelines." in told
    found = json.loads(dozor("rules", "history", world.ACCOUNT, "--json"))
    assert found["judging"] == {"done": 0, "total": 0}
    assert found["versions"][0]["changed"] == ["deal-no-task"]
    told = dozor("rules", "rollback", world.ACCOUNT, "9", code=2)
    assert "VERSION: romashka has no version 9; there are: 1, 2, 3" in told


def test_commands_look_at_the_rules_of_the_account(dozor: Callable[..., str]) -> None:
    dozor("rules", "apply", "mine.yaml", *ACCOUNT, "--since", "beginning")
    assert "my-rule" in dozor("rules", "list", *ACCOUNT)
    shipped = dozor("rules", "list")
    assert "my-rule" not in shipped
    assert max((m.id for m in builtin_rules()), key=len) in shipped  # names are never cut
    assert "says what the rules of romashka say" in dozor("rules", "diff", "mine.yaml", *ACCOUNT)
    told = dozor("rules", "diff", "rules.yaml", *ACCOUNT)
    assert "deal-no-task: for: 1wh -> 10wm" in told
    assert "my-rule: rule: deal.is_open && deal.open_tasks == 0 -> None" in told
    assert "changes nothing" in dozor("rules", "try", "mine.yaml", *ACCOUNT)
    assert "passed, 0 failed" in dozor("rules", "test", *ACCOUNT)
    assert "my-rule" in dozor("rules", "explain", "1", *ACCOUNT)
    assert "all well" in dozor("rules", "check", "rules.yaml", *ACCOUNT)
    for wrong in ("2027-01-01T00:00:00Z", "yesterday", "2026-03-01T00:00:00"):
        told = dozor("rules", "apply", "mine.yaml", *ACCOUNT, "--since", wrong, code=2)
        assert "--since: " in told


def test_check_tells_every_fault_with_its_place(dozor: Callable[..., str], tmp_path: Path) -> None:
    second = MINE.partition("rules:\n")[2].replace("deal.open_tasks", "deal.lost_at")
    text = (
        CHANGE.replace("deal.open_tasks", "deal.opn_tasks")
        + second
        + second.replace("severity: warning", "severity: loud").replace("my-rule", "other-rule")
    )
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text, encoding="utf-8")
    told = dozor("rules", "check", str(wrong), code=1).splitlines()
    assert [line.removeprefix(f"{wrong}:").partition(": ")[0] for line in told] == [
        "6:5", "15:5", "26:5",
    ]  # fmt: skip
    assert "did you mean deal.open_tasks?" in told[0]
    found = json.loads(dozor("rules", "check", str(wrong), "--json", code=1))
    assert (found["valid"], len(found["errors"])) == (False, 3)
    assert "wrong.yaml:26:5" in dozor("rules", "apply", str(wrong), *ACCOUNT, code=2)
    refused = dozor("rules", "check", "rules.yaml", "--account", "nobody", code=2)
    assert "no account 'nobody'" in refused


def test_settings_that_do_not_fit_are_named(dozor: Callable[..., str], tmp_path: Path) -> None:
    dozor("rules", "apply", "mine.yaml", *ACCOUNT)
    settings = tmp_path / "settings.yaml"
    settings.write_text("account: romashka\nrules: {my-rule: {for: 3wd}}\n")
    dozor("account", "apply", str(settings))
    told = dozor("rules", "check", "rules.yaml", *ACCOUNT, code=1)
    assert "settings do not fit the file: rules.my-rule: there is no such rule" in told
    dozor("rules", "apply", "rules.yaml", *ACCOUNT, code=2)
