"""`kill -9` at random moments under load, again and again: the same on both databases."""

import random
import time

from tests.faults.books import Books, check_alerts, check_answers, check_facts, check_inbox, settle
from tests.faults.load import Crm
from tests.faults.process import Dozor

KILLS = 20


def survives_kills(dozor: Dozor, seed: int) -> None:
    """Kill the service `KILLS` times; in the end nothing is lost, and nothing is double."""
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    crm = Crm(dozor, random.Random(seed))
    moments = random.Random(seed)
    dozor.set_up()
    dozor.serve()
    dozor.subscribe()
    for _ in range(KILLS):
        with crm.sending(pause=0.02):
            time.sleep(moments.uniform(0.2, 2.0))  # the moment of the kill
            dozor.kill()
        dozor.serve()
    crm.finish()
    books = Books(dozor)
    try:
        settle(books, crm.hooks)
        check_inbox(books, crm.hooks)
        check_facts(books, dozor, crm.hooks)
        check_answers(dozor, crm.hooks)
        check_alerts(books, dozor.stand_in, crm.hooks, KILLS)
    finally:
        books.close()
    assert crm.count(200) > KILLS
    assert crm.count(0) > 0
    assert crm.statuses() <= {0, 200}
    assert dozor.stop() == 0
