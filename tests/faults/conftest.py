"""A Dozor of one's own for each test, on SQLite or PostgreSQL, and the world around it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.process import Dozor
from tests.faults.stand_in import StandIn


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """Telegram, a subscriber and a portal."""
    found = StandIn()
    yield found
    found.close()


@pytest.fixture
def dozor(tmp_path: Path, stand_in: StandIn, database_url: str) -> Iterator[Dozor]:
    """Not served yet. Tests name the database: parametrise `database_url` indirectly."""
    found = Dozor(tmp_path, stand_in, database_url)
    yield found
    found.close()
