"""`dozor account check` walks the whole way, in Russian and English, against simulated portals."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from service.clock import Clock
from service.domain.findings import _SAID, CHECKS, Finding
from service.portal import department
from service.portal.book import Book
from service.portal.server import PortalServer
from tests.cli.test_bad_input import Run, run
from tests.crm.kit import END, START

__all__ = ["run"]
Crm = Literal["amocrm", "bitrix24"]


@pytest.fixture(params=["amocrm", "bitrix24"])
def portal(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PortalServer]:
    crm: Crm = request.param
    monkeypatch.setenv("DOZOR_ALLOW_PRIVATE_HOSTS", "1")
    monkeypatch.setenv("DOZOR_PUBLIC_URL", "https://dozor.example")
    book = Book()
    department.populate(book, kind=crm, seed=3, deals=8, start=START, end=END)
    made = PortalServer(crm, book, Clock(), token="1/secret").start()
    yield made
    made.stop()


def connect(run: Run, portal: PortalServer, *more: str) -> tuple[int, str, str]:
    crm = portal.office.kind
    address = ("--base-url", portal.base_url, "--token", "1/secret")
    return run("account", "add", crm, "--name", "Ромашка", *address, *more)


def told(run: Run, *more: str) -> dict[str, Any]:
    _, out, _ = run("account", "check", "romashka", "--json", *more)
    return {line["check"]: line for line in json.loads(out)}


def test_good_connection_lacks_only_its_history_and_the_first_event(
    run: Run, portal: PortalServer
) -> None:
    amo = portal.office.kind == "amocrm"
    connect(run, portal, *(["--subscribe"] if amo else ["--application-token", "app"]))
    found = told(run)
    lacking = [check for check, line in found.items() if not line["ok"]]
    assert lacking == ["history", "heard"]
    assert "dozor backfill romashka" in found["history"]["advice"]
    assert run("backfill", "romashka")[0] == 0
    assert told(run)["history"]["ok"]
    assert {"portal", "limit", "clock", "settings"} <= found.keys()
    assert found["hook" if amo else "hook_by_hand"]["ok"]
    assert "Измените любую сделку" in found["heard"]["advice"]
    assert "https://dozor.example/hooks/" in found["heard"]["advice"]
    code, out, _ = run("account", "check", "romashka", "--lang", "en")
    assert code == 1
    assert "FAIL hook arrived: none yet" in out
    assert "ok   clocks agree: " in out


def test_what_is_wrong_is_named_with_its_way_out(run: Run, portal: PortalServer) -> None:
    amo = portal.office.kind == "amocrm"
    connect(run, portal)
    found = told(run)
    if amo:
        assert found["hook"]["detail"] == "портал говорит: не найден"
        assert "dozor account subscribe romashka" in found["hook"]["advice"]
        assert run("account", "subscribe", "romashka")[0] == 0
        assert told(run)["hook"]["ok"]
    else:
        assert "application-token romashka" in found["application_token"]["advice"]
    code, _, err = run("account", "token", "romashka", "1/wrong")
    assert code == 1
    assert "does not take it" in err
    found = told(run, "--lang", "en")
    assert not found["portal"]["ok"]
    assert "dozor account token romashka" in found["portal"]["advice"]
    assert run("account", "token", "romashka", "1/secret")[0] == 0
    assert told(run)["portal"]["ok"]


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_every_sentence_is_there_in_both_languages(check: str) -> None:
    names = ("error", "account", "days", "scope", "state", "url", "seconds", "percent", "name")
    for ok in (True, False):
        finding = Finding(check, ok, dict.fromkeys(names, "…"))
        russian, english = finding.told("ru"), finding.told("en")
        assert russian != english
        assert any("а" <= letter <= "я" for letter in russian.title)
        assert not any("а" <= letter <= "я" for letter in english.title + english.advice)
        assert bool(russian.advice) == bool(english.advice)
    assert _SAID[check].keys() == {"ru", "en"}


def test_meaning_of_fields_is_shown_guessed_and_changed(run: Run, portal: PortalServer) -> None:
    connect(run, portal)
    code, out, _ = run("account", "fields", "romashka", "--json")
    assert code == 0
    shown = {row["meaning"]: row for row in json.loads(out)}
    assert shown.keys() == {"source", "budget", "loss_reason"}
    assert shown["source"]["field"] == "the CRM's own"
    with portal.lock:
        number, name = next(iter(portal.office.book.field_names.items()))
    code, out, err = run("account", "fields", "romashka", "--set", f"source={name}", "--json")
    assert code == 0, err
    assert name in json.loads(out)[0]["field"]
    assert run("account", "fields", "romashka", "--set", "source=default")[0] == 0
    for wrong in ("colour=ИНН", "source=Нет такого", "source", f"{number}"):
        code, _, err = run("account", "fields", "romashka", "--set", wrong)
        assert code == 2
        assert "fields" in err or "--set" in err
