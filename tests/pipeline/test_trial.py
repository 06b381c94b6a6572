"""`rules try`: what a changed rule would open and close; nothing is written."""

from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from service.errors import ConfigError
from service.pipeline import trial
from service.pipeline.office import Office
from service.pipeline.trial import Trial, try_rules
from service.rules.book import RuleBook
from service.rules.loading import builtin_rules
from service.rules.schema import ByStage, RuleModel
from service.store.engine import transaction
from service.store.tables import Violation
from tests import world

VIOLATION = Violation.__table__  # type: ignore[attr-defined]


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    """Three deals without a task, since 3, 2 and half an hour; a stage entered eight days ago."""
    made = world.make_office(database_url, "2026-03-10 13:00")
    world.connect_account(
        made, connected="2026-03-01 00:00", document={"limits": {"open_deals": 3}}
    )
    for number, at in (("1", "10:00"), ("2", "11:00"), ("3", "12:30")):
        world.tell(made, [world.new_deal(number, f"2026-03-10 {at}")])
    world.tell(made, [world.new_deal("4", "2026-03-02 10:00")])
    world.tell(made, [world.new_task("5", "2026-03-02 10:00", "2026-03-12 11:00", "4")])
    yield made
    made.close()


def changed(office: Office, rule_id: str, **values: object) -> RuleBook:
    models = dict(office.book.models)
    models[rule_id] = models[rule_id].model_copy(update=values)
    return RuleBook(list(models.values()))


def ids(found: Trial) -> tuple[list[str], list[str]]:
    return (
        sorted(f"{row.rule} {row.subject_id}" for row in found.opens),
        sorted(f"{row.rule} {row.subject_id}" for row in found.closes),
    )


def stored(office: Office) -> int:
    with office.engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(VIOLATION)).scalar_one())


def test_longer_grace_closes_and_a_shorter_one_opens(office: Office) -> None:
    before = stored(office)
    longer = try_rules(office, world.ACCOUNT, changed(office, "deal-no-task", for_="150wm"))
    assert ids(longer) == ([], ["deal-no-task 2"])
    assert longer.stays == 1
    shorter = try_rules(office, world.ACCOUNT, changed(office, "deal-no-task", for_="10wm"))
    assert ids(shorter) == (["deal-no-task 3"], [])
    assert (shorter.changed, shorter.stays) == (["deal-no-task"], 2)
    assert stored(office) == before


def test_unchanged_book_changes_nothing(office: Office) -> None:
    found = try_rules(office, world.ACCOUNT, RuleBook(builtin_rules()))
    assert (found.changed, ids(found), found.timelines) == ([], ([], []), 0)


def test_new_and_missing_rules_are_changes(office: Office) -> None:
    stuck = office.book.models["deal-stuck"]
    strict = stuck.model_copy(update={"id": "deal-stuck-hard", "for_": ByStage(default="3wd")})
    without = [m for m in office.book.models.values() if m.id != "deal-no-task"]
    found = try_rules(office, world.ACCOUNT, RuleBook([*without, strict]))
    assert ids(found) == (
        ["deal-stuck-hard 4"], ["deal-no-task 1", "deal-no-task 2"],
    )  # fmt: skip


def test_level_of_a_seller_is_tried_too(office: Office) -> None:
    looser = changed(office, "seller-too-many-deals", when="seller.is_active && seller.limit > 9")
    found = try_rules(office, world.ACCOUNT, looser)
    assert ids(found) == ([], ["seller-too-many-deals 7"])
    assert found.closes[0].owner == "7"


def test_unknown_account_is_named(office: Office) -> None:
    with pytest.raises(ConfigError, match="no account 'nobody'"):
        try_rules(office, "nobody", office.book)


def test_condition_that_fails_on_facts_is_told(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "MOST_FAILURES", 2)

    def broken(model: RuleModel) -> RuleModel:
        return model.model_copy(update={"when": "deal.is_open && 10 / deal.attempts > 1"})

    models = {m.id: broken(m) if m.id == "deal-no-task" else m for m in builtin_rules()}
    found = try_rules(office, world.ACCOUNT, RuleBook(list(models.values())))
    assert [failure.rule for failure in found.failures] == ["deal-no-task"] * 2
    with transaction(office.engine) as connection:
        assert connection.execute(select(func.count()).select_from(VIOLATION)).scalar_one() > 0
