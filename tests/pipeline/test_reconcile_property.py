"""Property: whatever share of hooks is lost, doubled, late or swapped, reconciliation mends it."""

import random
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from tests.pipeline.test_reconcile import (
    Crm,
    Post,
    connected,
    equals_the_portal,
    live_through,
    opened,
)

SHARE = st.floats(0, 1)


@pytest.mark.parametrize("crm", ["amocrm", "bitrix24"])
@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    shares=st.tuples(SHARE, SHARE, SHARE),
    swaps=st.integers(0, 2**31),
    past=st.integers(1, 50),
    life=st.integers(1, 50),
)
@example(shares=(0.88, 0.62, 0.18), swaps=845589051, past=25, life=20)  # only comments moved
def test_reconciled_facts_are_the_portals_own(
    crm: Crm, shares: tuple[float, float, float], swaps: int, past: int, life: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, opened(crm, seed=past, deals=12) as stage:
        office = connected(stage, f"sqlite:///{Path(folder) / 'lived.db'}")
        post = Post(random.Random(swaps), shares)
        live_through(stage, office, post, seed=life, lives=timedelta(hours=30))
        equals_the_portal(stage, office, Path(folder))
        office.close()
