"""What the engine says of a deal, a task, a call, an inquiry against the raw facts, looked up.

Cases at random; at every instant that a fact names, a second before and after it, and at some
others, each attribute by folding and cutting equals the one that looks back (`naive_facts`).
"""

from bisect import bisect_right
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from service.domain.config import Config
from service.domain.history import Change as EngineChange
from service.domain.history import settle
from service.domain.story import Context
from service.domain.timeline import fold
from service.domain.worlds import world_of
from service.rules.attributes import ATTRIBUTES
from service.rules.segments import Segment, Subject, subjects
from tests.rules.naive_facts import COMPUTED, LEFT_OUT, judged, value
from tests.rules.naive_past import Change, Past, plain_of, settled
from tests.rules.naive_wide import DAY, Case, case_of, inquiry_of, instants, wide_config
from tests.rules.naive_world import FORWARD

CONFIGS = {mapped: wide_config(FORWARD, mapped=mapped) for mapped in (False, True)}
PLAINS = {mapped: plain_of(made) for mapped, made in CONFIGS.items()}
QUICK = settings(
    max_examples=60,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
WINDOWS = (0, 600, 1800, 3600, 14 * DAY)  # in which something ages out, or still counts


def test_every_attribute_is_looked_up_or_left_out_for_a_reason() -> None:
    known = {name for names in ATTRIBUTES.values() for name in names}
    left = {name for name in known if name in LEFT_OUT or f"{name.split('.')[0]}.*" in LEFT_OUT}
    assert known - left == COMPUTED
    assert {name for name in LEFT_OUT if "*" not in name} <= known


CHANGES = st.lists(
    st.builds(
        Change, st.sampled_from([0, 5, 600, 605, 1206]), st.sampled_from("ABC"),
        st.sampled_from(["7", "7", "9", None]),
    ),
    max_size=7,
)  # fmt: skip


@settings(QUICK, max_examples=300)
@given(told=CHANGES)
def test_what_one_person_undid_at_once_is_out_in_both(told: list[Change]) -> None:
    told.sort(key=lambda change: change.at)
    of_engine = settle([EngineChange(*change) for change in told])
    assert [Change(*change) for change in of_engine] == settled(told)


def at_segment(subject: Subject, at: int) -> Segment | None:
    place = bisect_right([segment.start for segment in subject.segments], at) - 1
    return subject.segments[place] if place >= 0 else None


def compare(subject: Subject, past: Past, config: Config, when: Iterable[int]) -> int:
    """Each attribute at each instant; how many were looked at."""
    looked = 0
    for at in sorted(when):
        segment = at_segment(subject, at)
        if segment is None:
            continue
        place = (subject.kind, subject.id, at)
        if subject.kind != "lead":
            assert segment.judged == judged(past, subject.kind, subject.id, at), place
        if subject.kind == "task" and segment.state.deleted:
            continue  # rules do not ask of it
        for name, attribute in ATTRIBUTES[subject.kind].items():
            if name in COMPUTED:
                mine = value(past, subject.kind, subject.id, name, at)
                assert attribute.get(segment.state, config) == mine, (name, *place)
                looked += 1
    return looked


def look(case: Case, others: list[int], *, mapped: bool) -> int:
    """A deal, its tasks and its calls."""
    config = CONFIGS[mapped]
    past = Past("1", case.own, case.lent, PLAINS[mapped])
    story = fold("deal:1", case.own, world_of(config), Context(case.lent))
    named = instants([*case.own, *case.lent])
    when = {at + by for at in named for by in WINDOWS} | {FORWARD + by for by in others}
    return sum(compare(subject, past, config, when) for subject in subjects(story, config))


def smallest(case: Case, others: list[int], *, mapped: bool) -> Case:
    """The case without every fact that the difference does without."""
    for facts in case:
        for fact in facts[::-1]:
            left = Case(*([f for f in some if f is not fact] for some in case))
            if left.own and left.own[0] is case.own[0] and fails(left, others, mapped=mapped):
                return smallest(left, others, mapped=mapped)
    return case


def fails(case: Case, others: list[int], *, mapped: bool) -> str:
    try:
        look(case, others, mapped=mapped)
    except AssertionError as error:
        return str(error)
    return ""


SEEDS = st.integers(0, 2**63)
OTHERS = st.lists(st.integers(-4 * DAY, 40 * DAY), max_size=5)


@QUICK
@given(seed=SEEDS, others=OTHERS, mapped=st.booleans())
def test_each_attribute_is_what_the_facts_say(seed: int, others: list[int], mapped: bool) -> None:
    case = case_of(seed, FORWARD)
    if fails(case, others, mapped=mapped):
        case = smallest(case, others, mapped=mapped)
        pytest.fail(f"{fails(case, others, mapped=mapped)}\n{case}")


@QUICK
@given(seed=SEEDS, others=OTHERS)
def test_each_attribute_of_an_inquiry_too(seed: int, others: list[int]) -> None:
    told = inquiry_of(seed, FORWARD)
    config = CONFIGS[False]
    past = Past("a", told, (), PLAINS[False])
    story = fold("lead:a", told, world_of(config))
    when = instants(told) | {FORWARD + by for by in others}
    kinds = [subject for subject in subjects(story, config) if subject.kind == "lead"]
    assert sum(compare(subject, past, config, when) for subject in kinds) > 0
