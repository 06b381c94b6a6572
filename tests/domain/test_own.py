"""What Dozor wrote itself is known by its mark and is no seller's work."""

from hypothesis import given
from hypothesis import strategies as st

from service.domain.account import AccountDocument
from service.domain.facts import Fact, Kind
from service.domain.own import is_own, mark, sign
from service.domain.resolving import resolve
from service.domain.timeline import fold
from service.domain.worlds import world_of
from tests import world

WORLD = world_of(resolve("romashka", "amocrm", world.DIRECTORY, AccountDocument()))
ID = "vio_06A8RWJ3K5V2N7Q4X9TZ1BCDEF"


@given(st.text(max_size=300))
def test_signed_is_own_whatever_the_text(text: str) -> None:
    assert is_own(sign(text, ID))
    assert mark(ID) in sign(text, ID)


@given(st.text(max_size=300))
def test_people_do_not_write_marks(text: str) -> None:
    assert is_own(text) == ("Dozor #" in text and is_own(text))
    assert not is_own(text.replace("#", ""))


def test_own_task_and_note_are_no_work() -> None:
    deal = world.new_deal("1", "2026-03-10 10:00")
    task = world.new_task("5", "2026-03-10 11:00", "2026-03-10 13:00", "1")
    ours = Fact(Kind.TASK, "6", task.at, task.body | {"text": sign("Поставьте задачу", ID)})
    later = world.task("6", "2026-03-10 12:00", text="Правил продавец", is_open=True)
    note = world.note("9", "2026-03-10 11:30", sign("Нет следующего шага", ID))
    story = fold("deal:1", [deal, task, ours, later, note], WORLD)
    assert list(story.tasks) == ["5"]
    assert story.notes == []
    assert story == fold("deal:1", [deal, task], WORLD)
