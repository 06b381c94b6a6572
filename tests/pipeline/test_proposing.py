"""Norms proposed from stored facts, over the command's and the API's own way in."""

from collections.abc import Iterator
from functools import partial

import pytest

from service.errors import ConfigError
from service.pipeline import proposing
from service.pipeline.office import Office
from tests import world
from tests.api.conftest import Start, start  # noqa: F401 - a fixture
from tests.api.test_conventions import check_problem


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    """Twenty inquiries called back after 1 to 20 minutes, one that waits."""
    made = world.make_office(database_url, "2026-03-10 12:00")
    world.connect_account(made)
    facts = [world.new_deal("99", "2026-03-10 11:30")]
    for number in range(1, 21):
        facts.append(world.new_deal(str(number), "2026-03-03 12:00", source="сайт"))
        facts.append(world.call(f"c{number}", f"2026-03-03 12:{number:02d}", 60, str(number),
                                direction="out", author="7"))  # fmt: skip
    world.tell(made, facts)
    yield made
    made.close()


def test_a_proposal_is_data_and_becomes_nothing(office: Office) -> None:
    (found,) = proposing.proposed(office, world.ACCOUNT, ["deal-no-first-touch"])
    assert (found["current"], found["proposed"], found["samples"]) == ("30wm", "15wm", 20)
    assert (found["running"], found["failed"], found["median_seconds"]) == (1, 0, 600)
    assert [(part["name"], part["samples"]) for part in found["by"]] == [("сайт", 20)]
    every = {one["rule"]: one for one in proposing.proposed(office, world.ACCOUNT)}
    assert every["deal-no-first-touch"] == found
    assert "deal-stuck" in every
    assert not {"seller-idle", "deal-lost-hot", "seller-too-many-deals"} & every.keys()
    for name in ("seller-idle", "deal-on-absent-seller", "no-such-rule"):
        with pytest.raises(ConfigError, match="RULE: "):
            proposing.proposed(office, world.ACCOUNT, [name])


def test_over_the_api(office: Office, start: Start) -> None:  # noqa: F811
    api = start(office.engine)
    api.app.state.services.propose_norms = partial(proposing.proposed, office)
    client = api.client("violations:read")
    answer = client.get("/v1/rules/deal-no-first-touch/norm?account=romashka")
    assert answer.status_code == 200, answer.text
    assert answer.json() == proposing.proposed(office, "romashka", ["deal-no-first-touch"])[0]
    assert client.get("/v1/rules/deal-no-first-touch").json()["for"] == "30wm"
    refused = client.get("/v1/rules/seller-idle/norm?account=romashka")
    assert "waits for nothing" in check_problem(refused, 409, "conflict")["detail"]
    for path in ("no-such-rule/norm?account=romashka", "deal-stuck/norm?account=nobody"):
        check_problem(client.get(f"/v1/rules/{path}"), 404, "not_found")
