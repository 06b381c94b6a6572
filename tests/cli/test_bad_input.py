"""Whatever a command is given: one sentence that names the field, an exit code, no traceback."""

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.cli.guard import guarded
from service.cli.main import app

Run = Callable[..., tuple[int, str, str]]

ADD = ("account", "add", "amocrm", "--name", "Ромашка", "--token", "T")
BASE = ("--base-url", "https://romashka.amocrm.ru")
DEEP = "a: " + "[" * 40 + "]" * 40
BOMB = "a: &a [1, 1]\nb: [*a, *a]\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in an empty folder; its exit code, output and error output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOZOR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DOZOR_LOG_LEVEL", "error")

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dozor", *arguments])
        code = guarded(app)
        told = capsys.readouterr()
        return code, told.out, told.err

    return command


def said(result: tuple[int, str, str], code: int = 2) -> str:
    """The sentence; whatever else there is would be a fault."""
    assert result[0] == code, result
    assert "Traceback" not in result[2]
    assert "\n  File " not in result[2]
    return result[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*ADD, "--base-url", "romashka"), "--base-url"),
        ((*ADD, "--base-url", "http://romashka.amocrm.ru"), "must begin with https://"),
        ((*ADD, "--base-url", "https://"), "--base-url"),
        ((*ADD, "--base-url", "https://[::1"), "--base-url"),
        ((*ADD, "--base-url", "https://romashka.amocrm.ru", "--currency", "рубль"), "--currency"),
        ((*ADD, *BASE, "--currency", ""), "--currency"),
        ((*ADD, *BASE, "--timezone", "Europe/Moskow"), "write Europe/Moscow"),
        ((*ADD, *BASE, "--timezone", "../../etc/passwd"), "--timezone"),
        ((*ADD, *BASE, "--id", ""), "--id"),
        ((*ADD, *BASE, "--id", "Ромашка"), "--id"),
        ((*ADD, *BASE, "--id", "a" * 200), "--id"),
        (("account", "add", "salesforce", "--name", "A", *BASE), "amocrm"),
        (("account", "add", "amocrm", "--name", " ", "--id", "a", "--token", "T", *BASE), "--name"),
        (("account", "add", "amocrm", "--name", "A", *BASE), "--token"),
        (("account", "add", "bitrix24", "--name", "A", "--token", "T", *BASE), "USER/SECRET"),
        (("account", "check", "nobody"), "ACCOUNT: there is no account 'nobody'"),
        (("account", "show", "nobody"), "there is no account"),
        (("account", "rotate-hook", "nobody"), "there is no account"),
        (("account", "disable", "nobody"), "there is no account"),
        (("account", "application-token", "nobody", "x"), "there is no account"),
        (("backfill", "nobody"), "there is no account"),
        (("reconcile", "nobody"), "there is no account"),
        (("verify", "nobody"), "there is no account"),
        (("rebuild", "nobody"), "there is no account"),
        (("key", "create", "--name", "x", "--scope", "everything"), "scope"),
        (("key", "create", "--name", "", "--scope", "admin"), "name"),
        (("key", "create", "--name", "x", "--scope", "admin", "--expires", "soon"), "--expires"),
        (("key", "create", "--name", "x", "--scope", "admin", "--account", "no"), "account"),
        (("key", "revoke", "key_nobody"), "key_nobody"),
        (("account", "apply", "missing.yaml"), "missing.yaml: No such file"),
        (("account", "apply", "."), "is no file"),
        (("rules", "check", "missing.yaml"), "missing.yaml: No such file"),
        (("rules", "test", "."), "is no file"),
        (("rules", "try", "missing.yaml", "--account", "nobody"), "missing.yaml: No such file"),
        (("rules", "try", "missing.yaml"), "--account"),
        (("plan", "import", "missing.csv"), "missing.csv cannot be read: No such file"),
        (("plan", "export", "--period", "soon"), "--period"),
        (("plan", "export", "--account", "nobody"), "--account"),
        (("serve", "--port", "99999"), "DOZOR_PORT"),
        (("serve", "--host", "999.1.1.1"), "--host"),
        (("demo", "--speed", "0"), "--speed"),
        (("nonsense",), "nonsense"),
        (("account", "add"), "Missing argument 'crm'"),
        (("account", "check", "\udcff"), "is no UTF-8 text"),
    ],
)
def test_wrong_arguments(run: Run, arguments: tuple[str, ...], words: str) -> None:
    assert words in said(run(*arguments))


def test_what_is_not_there_yet_is_said_plainly(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("rules: []\n", encoding="utf-8")
    assert "no account 'nobody'" in said(run("rules", "try", "a.yaml", "--account", "nobody"))
    assert "no rows below a heading" in said(run("plan", "import", "a.yaml"))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DOZOR_PROT", "1", "did you mean DOZOR_PORT"),
        ("DOZOR_DATABASE_URL", "mysql://x", "DOZOR_DATABASE_URL"),
        ("DOZOR_DATABASE_URL", "sqlite:////nowhere/at/all.db", "DOZOR_DATABASE_URL"),
        ("DOZOR_DATABASE_URL", "postgresql://nobody:hunter2@127.0.0.1:1/x", "DOZOR_SECRET_KEY"),
        ("DOZOR_SECRET_KEY", "short", "DOZOR_SECRET_KEY: each key must have at least 16"),
        ("DOZOR_DATA_DIR", "/dev/null/x", "DOZOR_DATA_DIR"),
        ("DOZOR_RULES_FILE", "missing.yaml", "missing.yaml"),
        ("DOZOR_TIMEZONE", "Moscow", "Europe/Moscow"),
        ("DOZOR_PUBLIC_URL", "dozor", "DOZOR_PUBLIC_URL"),
        ("DOZOR_TELEGRAM_BASE_URL", "x", "DOZOR_TELEGRAM_BASE_URL"),
        ("DOZOR_INBOX_QUEUE", "0", "DOZOR_INBOX_QUEUE"),
        ("DOZOR_LOG_LEVEL", "loud", "DOZOR_LOG_LEVEL"),
        ("DOZOR_CORS_ORIGINS", "*", "DOZOR_CORS_ORIGINS"),
    ],
)
def test_wrong_settings(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    assert words in said(run("serve", "--port", "0"))


def test_unreachable_database_is_said_without_its_password(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOZOR_DATABASE_URL", "postgresql://nobody:hunter2@127.0.0.1:1/x")
    monkeypatch.setenv("DOZOR_SECRET_KEY", "0123456789abcdef")
    sentence = said(run("account", "list"))
    assert "DOZOR_DATABASE_URL: the database cannot be opened" in sentence
    assert "hunter2" not in sentence


def test_file_that_is_no_database(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.db").write_bytes(b"not a database, whatever it is called" * 100)
    monkeypatch.setenv("DOZOR_DATABASE_URL", f"sqlite:///{tmp_path / 'a.db'}")
    assert "DOZOR_DATABASE_URL" in said(run("account", "list"))


def test_database_of_somebody_else(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("CREATE TABLE cats (name TEXT)")
    monkeypatch.setenv("DOZOR_DATABASE_URL", f"sqlite:///{tmp_path / 'a.db'}")
    monkeypatch.setenv("DOZOR_SECRET_KEY", "0123456789abcdef")
    assert "the database has schema none" in said(run("account", "list"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "FILE"),
        ("account: nobody\n", "there is no account 'nobody'"),
        ("- 1\n", "must be a map"),
        ("account: romashka\ntimezon: x\n", "did you mean timezone"),
        ("account: romashka\nlimits: {open_deals: many}\n", "limits.open_deals: must be a whole"),
        ("account: romashka\nlimits: {open_dells: 3}\n", "limits"),
        ("account: romashka\nlimits: []\n", "limits"),
        ("account: romashka\nwork: {week: always}\n", "work.week"),
        ("account: romashka\nwork: {holidays: XX}\n", "work.holidays"),
        ("account: romashka\nalerts: {quiet: at night}\n", "alerts.quiet"),
        (
            "account: romashka\nalerts: {receivers: {head: {telegram: []}}}\n",
            "alerts.receivers.head",
        ),
        (
            "account: romashka\nsellers: {7: {absent: [{from: 2026-02-30, to: 2026-03-01}]}}\n",
            ":2:",
        ),
        ("account: romashka\nrules: {deal-stuk: {off: true}}\n", "did you mean deal-stuck"),
        ("account: romashka\nrules: {deal-stuck: {for: {default: 3x}}}\n", "3x"),
        ("account: romashka\n  timezone: x\n", "a.yaml:2:"),
        ("account: [romashka\n", "a.yaml:"),
        ("account: romashka\nwork: 5\n", "work: must be a map"),
        (f"account: romashka\n{DEEP}\n", "nested deeper"),
        (f"account: romashka\n{BOMB}", "aliases"),
        ("account: romashka\nx: \x00\n", "a.yaml"),
        ("account: romashka\nlimits: {open_deals: 99999999999999999999999}\n", "too large"),
        ("account: !!python/object:os.system romashka\n", "a.yaml"),
    ],
)
def test_wrong_settings_file(run: Run, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    assert run(*ADD, "--base-url", "https://127.0.0.1:9", "--timezone", "Europe/Moscow")[0] == 0
    assert words in said(run("account", "apply", "a.yaml"))


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"rules: \xff", b"x" * 2_000_000])
def test_files_that_are_no_text(run: Run, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.yaml").write_bytes(data)
    for command in (("rules", "check"), ("rules", "test"), ("account", "apply")):
        assert "FILE: a.yaml" in said(run(*command, "a.yaml"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a.yaml:1:1: the file: must be a map with the list `rules`"),
        ("{}", "rules: is required"),
        ("rules: 5", "must be a list"),
        ("rules: [5]", "a.yaml:1:9: rules.0: must be a map"),
        ("rules: [{}]", "a.yaml:1:9: rules.0.id: is required"),
        ("rules:\n  - id: A b\n", "a.yaml:2:5: rules.0.id"),
        ("rules:\n  - id: my-rule\n    on: lamp\n", "a.yaml:3:5: rules.0.on: must be"),
        ("rules:\n  - id: my-rule\n    wen: x\n", "did you mean when"),
    ],
)
def test_wrong_rule_file(run: Run, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    assert words in said(run("rules", "test", "a.yaml"))
    assert words in said(run("rules", "check", "a.yaml"), 1)


def test_key_of_another_installation_stops_the_service(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*ADD, "--base-url", "https://127.0.0.1:9")[0] == 0
    monkeypatch.setenv("DOZOR_SECRET_KEY", "another-key-long-enough")
    assert "DOZOR_SECRET_KEY: the stored credentials" in said(run("serve", "--port", "0"))
    assert "DOZOR_SECRET_KEY" in said(run("work"))


def test_unforeseen_fault_is_a_sentence_too(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise RuntimeError("postgresql://a:hunter2@b/c\nTraceback of somebody")

    assert guarded(broken) == 1
    told = capsys.readouterr().err
    assert "this should not have happened (RuntimeError" in told
    assert "hunter2" not in told
    assert len(told.splitlines()) == 1
