"""Inflow (kpis.md 2)."""

from service.kpi.metric import Metric

FIGURES: tuple[Metric, ...] = (
    Metric(
        "inquiries", "Обращения", "Inquiries",
        "+1 per incoming lead and per deal born without one, at its creation",
        attributed_to="who took it; nobody until then", plannable=True,
    ),
)  # fmt: skip
