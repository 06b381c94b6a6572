"""All figures by name, in the order in which they are listed."""

from service.kpi.figures import activity, deals, inflow, order, tasks
from service.kpi.metric import ALL_GRAINS, DIMENSIONS, Metric

__all__ = ["ALL_GRAINS", "DIMENSIONS", "METRICS", "STRICT", "Metric"]

METRICS: dict[str, Metric] = {
    figure.slug: figure
    for part in (inflow, deals, activity, tasks, order)
    for figure in part.FIGURES
}
STRICT: dict[str, str] = {}
