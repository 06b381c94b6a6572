"""Changing the key of stored credentials: with a file of its own, and with DOZOR_SECRET_KEY."""

import sqlite3
from pathlib import Path

import pytest

from service.errors import ConfigError
from service.secrets import SecretBox, load_box
from service.settings import load_settings
from tests.cli.test_bad_input import ADD, BASE, Run, run, said

__all__ = ["run"]
OLD, NEW = "the-former-key-0123456789", "the-newest-key-0123456789"


def stored(tmp_path: Path) -> str:
    database = sqlite3.connect(tmp_path / "data" / "dozor.db")
    [[secrets]] = database.execute("select secrets from account").fetchall()
    database.close()
    return str(secrets)


def test_own_key_is_changed_while_the_service_runs(run: Run, tmp_path: Path) -> None:
    run(*ADD, *BASE)
    running = load_box(load_settings())
    before = stored(tmp_path)
    assert '"token": "T"' in running.open(before)
    code, out, _ = run("secret", "rotate")
    assert (code, out) == (0, "1 credentials are sealed with the new key.\n")
    after = stored(tmp_path)
    assert after != before
    assert '"token": "T"' in running.open(after)  # it reads the file again
    assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o777 == 0o600
    run("secret", "rotate")
    with pytest.raises(ConfigError):
        load_box(load_settings()).open(before)  # the key before the last is gone


def test_given_key_is_changed_in_three_steps(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOZOR_SECRET_KEY", OLD)
    run(*ADD, *BASE)
    monkeypatch.setenv("DOZOR_SECRET_KEY", f"{NEW} {OLD}")
    assert "T" in load_box(load_settings()).open(stored(tmp_path))
    assert run("secret", "rotate")[0] == 0
    monkeypatch.setenv("DOZOR_SECRET_KEY", NEW)
    assert '"token": "T"' in load_box(load_settings()).open(stored(tmp_path))
    with pytest.raises(ConfigError):
        SecretBox(OLD).open(stored(tmp_path))
    monkeypatch.setenv("DOZOR_SECRET_KEY", OLD)
    assert "DOZOR_SECRET_KEY" in said(run("secret", "rotate"))
