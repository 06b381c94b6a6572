"""`kill -9` of the service under load, on SQLite."""

import pytest

from tests.faults.kills import survives_kills
from tests.faults.process import Dozor


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nothing_acknowledged_is_lost_and_nothing_is_told_twice(dozor: Dozor) -> None:
    survives_kills(dozor, seed=20260302)
