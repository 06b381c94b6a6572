"""What a rule on the pace of a plan knows of figures is what the figures say of themselves."""

import pytest

from service.kpi.metric import Metric
from service.kpi.metrics import METRICS
from service.kpi.parts import AGED
from service.kpi.sources import COMPUTED
from service.rules.paced import PACED


def made_of(metric: Metric) -> list[Metric]:
    return [METRICS[name] for name in metric.components] or [metric]


def can_be_watched(metric: Metric) -> bool:
    """Planned, more is better, and made of sums that are known on their day."""
    apart = COMPUTED | AGED
    return (
        metric.plannable
        and metric.kind in {"sum", "ratio"}
        and metric.direction != "down"
        and not metric.cohort
        and all(m.kind == "sum" and apart.isdisjoint(m.parts) for m in made_of(metric))
    )


def test_every_figure_that_can_be_watched_is_known() -> None:
    assert set(PACED) == {slug for slug, metric in METRICS.items() if can_be_watched(metric)}


@pytest.mark.parametrize("slug", PACED)
def test_a_watched_figure_is_made_of_its_parts(slug: str) -> None:
    metric, paced = METRICS[slug], PACED[slug]
    above, *below = made_of(metric)
    assert paced.above == above.parts
    assert paced.below == tuple(part for one in below for part in one.parts)
    assert paced.takes == {part for one in (above, *below) for part in one.takes}
    assert paced.scale == metric.plan_scale
    assert paced.money == (metric.kind == "sum" and metric.unit == "money")
