"""What folding had wrong and a second look at the raw facts found (`tests/rules/naive_facts`)."""

from typing import Any

from service.domain.conduct import postponements
from service.domain.facts import Fact, Kind, Rank
from service.domain.history import Change, settle
from service.domain.named import parse_document
from service.domain.resolving import resolve
from service.domain.story import Story
from service.domain.timeline import fold
from service.domain.worlds import world_of
from tests import world

CONFIG = resolve(world.ACCOUNT, "amocrm", world.DIRECTORY, parse_document({}))
NOON = "2026-03-02 12:00"


def lived(*facts: Fact, **body: Any) -> Story:
    """A deal of noon on Monday."""
    return fold("deal:1", [world.new_deal("1", NOON, **body), *facts], world_of(CONFIG))


def told(kind: Kind, subject: str, at: str, rank: Rank = Rank.HOOK, **body: Any) -> Fact:
    when = world.moment(at)
    there = {} if kind is Kind.DEAL else {"deal": "1"}
    spoken = {Kind.CALL: {"started_at": when}, Kind.MESSAGE: {"created_at": when}}
    return Fact(kind, subject, when, there | spoken.get(kind, {}) | body, rank)


def task(at: str, subject: str = "t", **body: Any) -> Fact:
    return told(Kind.TASK, subject, at, **body)


def test_what_people_change_move_and_hear_is_activity() -> None:
    at = "2026-03-03 12:00"
    for fact in (
        told(Kind.DEAL, "1", at, amount=900, author="7"),
        told(Kind.DEAL, "1", at, fields={"5": "two"}, author="7"),
        told(Kind.MESSAGE, "m", at, direction="in"),
        told(Kind.CALL, "c", at, direction="in", answered=True, seconds=60),
        task(at, due_at=world.moment("2026-03-04 12:00"), author="7"),
        task(at, result="договорились о замере", is_open=False, author="7"),
    ):
        before = task("2026-03-02 13:00", due_at=world.moment("2026-03-05 12:00"), text="ок")
        state = lived(before, fact, amount=100, fields={"5": "one"}).deal[-1]
        assert state.last_activity_at == world.moment(at), fact
    robot = told(Kind.DEAL, "1", at, amount=900, author="0")
    assert lived(robot, amount=100).deal[-1].last_activity_at != world.moment(at)


def test_a_task_that_is_first_told_done_was_done_then() -> None:
    done = task("2026-03-03 12:00", is_open=False, author="7", result="договорились о замере")
    state = lived(done).deal[-1]
    assert state.last_task_closed_at == world.moment("2026-03-03 12:00")
    assert state.notes == 1


def test_a_result_given_after_the_end_and_that_of_a_second_end_are_traces() -> None:
    first, later, again = (f"2026-03-03 {hour}:00" for hour in (10, 12, 16))
    story = lived(
        task("2026-03-02 13:00", text="ок"),
        task(first, is_open=False, author="7"),
        task(later, result="договорились о замере"),
        task("2026-03-03 13:00", is_open=True, author="7"),
        task(again, is_open=False, author="7", result="перенесли на среду"),
    )
    traces = {state.at: state.trace_at for state in story.tasks["t"]}
    assert traces[world.moment(first)] is None
    assert traces[world.moment(later)] == world.moment(later)
    assert traces[world.moment(again)] == world.moment(again)
    assert story.deal[-1].notes == 2


def test_a_message_to_the_client_is_a_trace() -> None:
    talk = told(Kind.CALL, "c", "2026-03-02 13:00", direction="in", answered=True, seconds=60,
                author="7")  # fmt: skip
    for author, trace in (("7", "2026-03-02 13:10"), ("9", None), ("0", None)):
        wrote = told(Kind.MESSAGE, "m", "2026-03-02 13:10", direction="out", author=author)
        call = lived(talk, wrote).calls[0]
        assert (call.trace_at, call.meaningful_at) == ((trace and world.moment(trace),) * 2)


def test_a_deleted_message_was_none_and_one_told_in_parts_is_one() -> None:
    asked = told(Kind.MESSAGE, "m", "2026-03-02 13:00", direction="in")
    assert lived(asked).deal[-1].unanswered_since == world.moment("2026-03-02 13:00")
    gone = Fact(Kind.MESSAGE, "m", world.moment("2026-03-02 14:00"), {"deal": "1", "deleted": True})
    assert lived(asked, gone).deal[-1].unanswered_since is None
    wrote = told(Kind.MESSAGE, "o", "2026-03-02 15:00", direction="out")
    who = Fact(Kind.MESSAGE, "o", world.moment("2026-03-02 16:00"), {"deal": "1", "author": "7"})
    assert [m.author for m in lived(wrote, who).messages] == ["7"]


def test_one_hand_over_is_counted_and_ages_out() -> None:
    given = told(Kind.DEAL, "1", "2026-03-03 12:00", responsible="9", author="7")
    counts = {state.at: state.handovers_recent for state in lived(given).deal}
    assert counts[world.moment("2026-03-03 12:00")] == 1
    assert counts[world.moment("2026-03-17 12:00")] == 0


def test_a_talk_ends_a_row_of_dials() -> None:
    dial: dict[str, Any] = {"direction": "out", "author": "7"}
    state = lived(
        told(Kind.CALL, "a", "2026-03-02 13:00", answered=True, seconds=60, **dial),
        told(Kind.CALL, "b", "2026-03-02 13:05", answered=False, **dial),
    ).deal[-1]
    assert (state.attempts, state.attempts_since_talk) == (1, 1)
    assert state.first_attempt_since_talk_at == world.moment("2026-03-02 13:05")


def test_the_first_of_two_notes_before_a_move_explains_it() -> None:
    notes = [
        told(
            Kind.NOTE, at, at, created_at=world.moment(at), text="клиент просит скидку", author="7"
        )
        for at in ("2026-03-03 11:40", "2026-03-03 11:50")
    ]
    moved = told(Kind.DEAL, "1", "2026-03-03 12:00", stage="20", author="7")
    assert lived(*notes, moved).deal[-1].stage_note_at == world.moment("2026-03-03 11:40")


def test_an_amount_told_as_the_deal_leaves_late_stages_was_never_theirs() -> None:
    late, early = CONFIG.standards.stage_at("31", 3), CONFIG.standards.stage_at("31", 1)
    assert [CONFIG.standards.is_late("31", stage) for stage in (late, early)] == [True, False]
    there = told(Kind.DEAL, "1", "2026-03-03 12:00", stage=late, amount=500)
    back = told(Kind.DEAL, "1", "2026-03-04 12:00", stage=early, amount=900)
    assert lived(there, back).deal[-1].amount_peak_late == 500


def test_a_deadline_put_back_at_once_was_not_postponed() -> None:
    due, other = world.moment("2026-03-03 15:00"), world.moment("2026-03-05 15:00")
    facts = [
        task("2026-03-02 13:00", due_at=due, responsible="7"),
        task("2026-03-03 14:00", due_at=other, author="7"),
        task("2026-03-03 14:09", due_at=due, author="7"),
    ]
    assert postponements(lived(*facts).tasks["t"][-1], CONFIG) == []
    facts[2] = task("2026-03-03 14:11", due_at=due, author="7")
    assert len(postponements(lived(*facts).tasks["t"][-1], CONFIG)) == 1


def test_twins_are_told_by_what_tasks_say_at_the_time() -> None:
    one = {"due_at": world.moment("2026-03-03 15:00"), "responsible": "7"}
    story = lived(
        task("2026-03-02 13:00", "a", text="Отправить смету", **one),
        task("2026-03-02 14:00", "b", text="Отправить смету", **one),
        task("2026-03-02 15:00", "b", text="Позвонить насчёт сметы"),
    )
    twins = {state.at: state.has_twin for state in story.tasks["b"]}
    assert twins[world.moment("2026-03-02 14:00")]
    assert not twins[world.moment("2026-03-02 15:00")]


def test_what_was_outranked_at_its_instant_undoes_nothing() -> None:
    changes = [Change(0, "a", "7"), Change(5, "b", "7"), Change(9, "a", "7"), Change(9, "b", "9")]
    assert settle(changes) == changes[:2]


def test_a_call_of_the_very_second_in_which_the_client_wrote_is_the_answer() -> None:
    at = "2026-03-03 12:00"
    wrote = told(Kind.MESSAGE, "m", at, direction="in")
    called = told(Kind.CALL, "c", at, direction="out", answered=True, seconds=60, author="7")
    assert lived(wrote).deal[-1].unanswered_since == world.moment(at)
    assert lived(wrote, called).deal[-1].unanswered_since is None
