"""The two sums of the hygiene index as parts (kpis.md 6), and what it takes to tell it."""

from collections.abc import Iterator, Sequence

from service.domain.hygiene import WHOLE
from service.kpi.hygiene import ledgers
from service.kpi.reach import Piece, Reach

WEIGHT, COST = "hygiene_weight", "hygiene_cost_time"
PARTS = frozenset({WEIGHT, COST})


def pieces(reach: Reach, parts: Sequence[str]) -> Iterator[Piece]:
    """Tenths of deal-seconds by seller, pipeline, period (and rule, of the cost)."""
    found = ledgers(reach.connection, reach.config, reach.first, reach.last, reach.cut.at)
    for seller, ledger in found.items():
        over = ledger.over(reach.spans_of_periods, reach.cut.at)
        for number, cells in enumerate(one for taken, _ in over for one in taken):
            start, end = reach.edges[number]
            for (rule, pipeline), value in sorted(cells.cells.items()):
                part = COST if rule else WEIGHT
                whole = value if rule else value * WHOLE
                if (
                    part in parts
                    and whole
                    and reach.admits({"seller": seller, "pipeline": pipeline})
                ):
                    yield Piece(
                        part, number, start, end, whole, seller, pipeline=pipeline, rule=rule
                    )
