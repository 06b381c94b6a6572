"""A changed file behind DOZOR_RULES_FILE: in the history, judged behind, told once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.pipeline import shared_rules, verify
from service.pipeline.office import Office, read_book
from service.store import accounts, rule_files
from service.store.engine import reading, transaction
from tests import world
from tests.pipeline.test_own_rules import file, of, put, rule, settle


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rules.yaml"


@pytest.fixture
def office(database_url: str, path: Path) -> Iterator[Office]:
    """A deal without a task since Tuesday, 10 March, 10:00."""
    path.write_text(file(), encoding="utf-8")
    made = world.make_office(database_url, "2026-03-10 18:00", rules_file=path)
    world.connect_account(made)
    world.tell(made, [world.new_deal("1", "2026-03-10 10:00")])
    yield made
    made.close()


def restarted(office: Office, path: Path, text: str) -> list[str]:
    """The process starts again with this file."""
    path.write_text(text, encoding="utf-8")
    office.book = read_book(path)
    office.__dict__.pop("shelf", None)
    office._windows.clear()
    return shared_rules.note_change(office)


def versions(office: Office) -> list[tuple[int, str, str, list[str]]]:
    with reading(office.engine) as connection:
        found = rule_files.history(connection, world.ACCOUNT)
    return [(v.version, v.author, v.reason, list(v.shared)) for v in found]


def waits_for_judging(office: Office) -> bool:
    with reading(office.engine) as connection:
        row = accounts.account(connection, world.ACCOUNT)
    assert row is not None
    return row.judged_version < row.config_version


def test_a_change_is_a_version_by_the_file_and_is_judged_behind(office: Office, path: Path) -> None:
    assert shared_rules.note_change(office) == []
    assert [start for start, _, _ in of(office)] == ["10 11:00"]
    assert restarted(office, path, file(rule(for_="3wh"))) == ["deal-no-task"]
    assert versions(office) == [(1, "file", "DOZOR_RULES_FILE: rules.yaml", ["deal-no-task"])]
    assert waits_for_judging(office)
    settle(office)
    assert [start for start, _, _ in of(office)] == ["10 13:00"]
    assert verify.verify(office, world.ACCOUNT) == []
    assert restarted(office, path, file(rule(for_="3wh")) + "# a remark\n") == []
    assert shared_rules.note_change(office) == []
    assert len(versions(office)) == 1
    assert not waits_for_judging(office)
    assert restarted(office, path, file()) == ["deal-no-task"]
    assert [author for _, author, *_ in versions(office)] == ["file", "file"]
    with reading(office.engine) as connection:
        found = rule_files.history(connection, world.ACCOUNT)
    assert office.shelf.changed(found) == [["deal-no-task"], ["deal-no-task"]]


def test_it_leaves_the_accounts_own_file_as_it_is(office: Office, path: Path) -> None:
    own = file(rule("my-own-rule"))
    put(office, own, "2026-03-10 18:10")
    settle(office)
    restarted(office, path, file(rule("theirs")))
    with reading(office.engine) as connection:
        newest = rule_files.history(connection, world.ACCOUNT)[-1]
        book = office.book_of(connection, world.ACCOUNT)
        arrived = {
            name: window.arrived.get(name)
            for window in office.windows(connection, accounts.account(connection, world.ACCOUNT))  # type: ignore[arg-type]
            for name in ("theirs", "deal-stuck")
        }
    assert (newest.author, newest.text) == ("file", own)
    assert {"my-own-rule", "theirs"} <= book.models.keys()
    assert arrived == {"theirs": newest.at, "deal-stuck": 0}  # what it finds before is old news


def test_nothing_is_recorded_without_a_file(database_url: str) -> None:
    office = world.make_office(database_url)
    world.connect_account(office)
    assert shared_rules.note_change(office) == []
    with transaction(office.engine) as connection:
        assert rule_files.shared_text(connection) == ""
    assert versions(office) == []
    office.close()
