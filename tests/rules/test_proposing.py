"""Proposed norms: hand-counted waits, and waits against the judge's own intervals."""

from random import Random
from typing import Any

import pytest

from service.domain.instant import FOREVER
from service.domain.named import parse_document
from service.domain.resolving import resolve
from service.domain.timeline import fold
from service.domain.worlds import world_of
from service.rules.book import Rule, RuleBook, Window
from service.rules.judge import judge
from service.rules.loading import builtin_rules
from service.rules.proposing import Proposer, waits
from service.rules.segments import subjects
from tests import world

MODELS = {model.id: model for model in builtin_rules()}
CONFIG = resolve("romashka", "amocrm", world.DIRECTORY, parse_document({}))


def rule_of(name: str, **changes: Any) -> Rule:
    model = MODELS[name].model_copy(update=changes)
    return RuleBook([model]).in_force(CONFIG)[0]


def first_touch(number: int, at: str, touched: str, source: str = "сайт") -> Any:
    facts = [
        world.new_deal(str(number), at, source=source),
        world.call(f"c{number}", touched, 60, str(number), direction="out", author="7"),
    ]
    return fold(f"deal:{number}", facts, world_of(CONFIG))


def test_three_of_four_inquiries_keep_what_is_proposed_and_each_source_has_its_own() -> None:
    rule = rule_of("deal-no-first-touch")
    proposer = Proposer(rule, CONFIG, world.moment("2026-03-20 12:00"))
    for number in range(20):
        proposer.add(first_touch(number, "2026-03-02 12:00", f"2026-03-02 12:{10 + number}"))
        late = first_touch(100 + number, "2026-03-02 17:50", "2026-03-03 10:50", "Выставка")
        proposer.add(late)
    old = first_touch(900, "2025-03-03 12:00", "2025-03-03 13:00")
    proposer.add(old)
    whole, (fair, site) = proposer.norms()
    assert (site.name, site.samples, str(site.proposed), site.median) == ("сайт", 20, "24wm", 1140)
    assert (fair.name, str(fair.proposed), fair.seconds) == ("Выставка", "60wm", 3600)
    assert (whole.samples, str(whole.proposed), str(whole.current)) == (40, "60wm", "30wm")


def test_with_few_waits_nothing_is_proposed_and_what_goes_on_is_not_counted() -> None:
    rule = rule_of("deal-no-first-touch")
    proposer = Proposer(rule, CONFIG, world.moment("2026-03-20 12:00"))
    for number in range(19):
        proposer.add(first_touch(number, "2026-03-02 12:00", "2026-03-02 12:10"))
    proposer.add(fold("deal:77", [world.new_deal("77", "2026-03-20 11:00")], world_of(CONFIG)))
    whole, _ = proposer.norms()
    assert (whole.proposed, whole.samples, whole.running) == (None, 19, 1)


def test_time_in_stage_is_that_of_deals_won_lately() -> None:
    """A day in «Новая», two in «КП»; the same deal, lost, counts nowhere."""
    rule = rule_of("deal-stuck")
    proposer = Proposer(rule, CONFIG, world.moment("2026-03-20 12:00"))
    for number in range(40):
        facts = [
            world.new_deal(str(number), "2026-03-02 12:00"),
            world.deal(str(number), "2026-03-03 12:00", pipeline="31", stage="20"),
            world.deal(str(number), "2026-03-05 12:00", pipeline="31",
                       stage="142" if number < 20 else "143"),
        ]  # fmt: skip
        proposer.add(fold(f"deal:{number}", facts, world_of(CONFIG)))
    whole, apart = proposer.norms()
    assert [(n.name, n.samples, str(n.proposed)) for n in apart] == [
        ("Новая", 20, "1wd"),
        ("КП", 20, "2wd"),
    ]
    assert (whole.samples, str(whole.proposed)) == (40, "2wd")


@pytest.mark.parametrize("name", ["deal-no-task", "card-incomplete", "deal-no-first-touch"])
def test_waits_are_what_the_judge_finds_without_a_norm(name: str) -> None:
    """With `for: 0m` each wait is an interval of the judge, and each interval a wait."""
    rule = rule_of(name, for_="0m")
    met = 0
    for seed in range(60):
        dice = Random(seed)
        facts = [world.new_deal("1", "2026-03-02 10:00")]
        for _ in range(dice.randint(2, 8)):
            at = (
                f"2026-03-{dice.randint(2, 9):02d} {dice.randint(10, 17)}:{dice.randint(0, 59):02d}"
            )
            facts.append(dice.choice([
                world.deal("1", at, pipeline="31", stage=dice.choice(["10", "20", "142", "143"])),
                world.deal("1", at, fields=dice.choice([{}, {"501": "7"}])),
                world.new_task(f"t{dice.randint(1, 3)}", at, "2026-03-20 12:00", "1"),
                world.task(f"t{dice.randint(1, 3)}", at, "1", is_open=False, author="7"),
                world.call("c1", at, 60, "1", direction="out", author="7"),
            ]))  # fmt: skip
        story = fold("deal:1", facts, world_of(CONFIG))
        found, _ = judge(story, [Window(0, FOREVER, CONFIG, [rule])])
        (deal,) = [s for s in subjects(story, CONFIG) if s.kind == "deal"]
        told = [(w.since, w.ended) for w in waits(deal, rule, CONFIG)]
        begun = [(max(f.since, f.held_since), f.resolved_at) for f in found]
        ends = {end for _, end in told}
        assert {end for _, end in begun} <= ends, seed
        if name != "deal-no-first-touch":  # its clock starts at the creation, each time
            assert told == begun, seed
        met += len(told)
    assert met > 10
