"""To whom work could move: proposals that overload nobody."""

from hypothesis import given
from hypothesis import strategies as st

from service.kpi.load import Holding, Proposal, proposals

sellers = st.builds(
    Holding,
    seller=st.sampled_from("abcdefgh"),
    team=st.sampled_from(["one", "two"]),
    load=st.integers(0, 120),
    limit=st.integers(0, 60),
    present=st.booleans(),
)


def test_the_full_gives_to_the_emptiest_of_his_team_down_to_four_fifths() -> None:
    found = proposals([
        Holding("full", "one", 48, 50, present=True), Holding("free", "one", 10, 50, present=True),
        Holding("half", "one", 24, 50, present=True), Holding("away", "one", 0, 50, present=False),
        Holding("other", "two", 0, 50, present=True), Holding("boss", "one", 0, 0, present=True),
    ])  # fmt: skip
    assert found == [Proposal("full", "free", 8)]


def test_nobody_gives_below_nine_tenths() -> None:
    holdings = [Holding("a", "t", 44, 50, present=True), Holding("b", "t", 10, 50, present=True)]
    assert proposals(holdings) == []


@given(st.lists(sellers, max_size=8, unique_by=lambda h: h.seller))
def test_no_proposal_overloads_anybody(holdings: list[Holding]) -> None:
    by_name = {h.seller: h for h in holdings}
    given_by: dict[str, int] = {}
    taken: dict[str, int] = {}
    for move in proposals(holdings):
        giver, taker = by_name[move.giver], by_name[move.taker]
        assert giver.team == taker.team
        assert giver.limit
        assert giver.share > 0.9
        assert taker.present
        assert move.deals > 0
        given_by[move.giver] = given_by.get(move.giver, 0) + move.deals
        taken[move.taker] = taken.get(move.taker, 0) + move.deals
    for name, deals in given_by.items():
        assert by_name[name].load - deals >= int(by_name[name].limit * 0.8)
    for name, deals in taken.items():
        assert by_name[name].load + deals <= by_name[name].limit * 0.8
