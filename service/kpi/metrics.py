"""All figures by name, in the order in which they are listed."""

from service.kpi.figures import activity, deals, inflow, order, pipeline, tasks
from service.kpi.figures.russian import FORMULAS
from service.kpi.metric import ALL_GRAINS, DIMENSIONS, Metric

__all__ = ["ALL_GRAINS", "DIMENSIONS", "METRICS", "SECTIONS", "STRICT", "Metric", "formula_of"]

SECTIONS: dict[str, tuple[Metric, ...]] = {
    "Inflow": inflow.FIGURES,
    "Deals and money": (*deals.FIGURES, *pipeline.FIGURES),
    "Activity": activity.FIGURES,
    "Tasks": tasks.FIGURES,
    "Order and load": order.FIGURES,
}
METRICS: dict[str, Metric] = {
    figure.slug: figure for figures in SECTIONS.values() for figure in figures
}
STRICT = {
    "stage_entries": "stage_entered", "stage_passes": "stage_passed",
    "stage_lost": "stage_lost_strict",
}  # fmt: skip
"""What stands for a figure where skipped stages are not passed (`strict`)."""


def formula_of(metric: Metric, lang: str) -> str:
    """What a figure counts, in Russian or English words."""
    return FORMULAS[metric.slug] if lang == "ru" else metric.formula
