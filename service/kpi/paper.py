"""The figures on paper: the page `deploy/bi/figures.md`, made from the definitions themselves."""

from service.kpi.metric import KINDS, Metric
from service.kpi.metrics import SECTIONS

_HEAD = """# All figures

Made by `dozor kpi list --markdown`; `GET /v1/kpis` serves the same, with dimensions. A ratio is
divided from summed parts at every level; a distribution is ranked from the values themselves and
stays empty under five; a cohort is dated at its own beginning and says what became of it so far.
`plan` = plans can be set for it. Better: ↑ more, ↓ less, · neither.
"""
_BETTER = {"up": "↑", "down": "↓", "neutral": "·"}


def page() -> str:
    """All figures, section by section."""
    parts = [_HEAD]
    for title, figures in SECTIONS.items():
        lines = [f"## {title}", "", "| figure | title | unit | kind | | what it counts |",
                 "|---|---|---|---|---|---|", *map(_line, figures), ""]  # fmt: skip
        parts.append("\n".join(lines))
    return "\n".join(parts)


def _line(metric: Metric) -> str:
    kind = "cohort" if metric.cohort else KINDS.get(metric.kind, metric.kind)
    plan = " plan" if metric.plannable else ""
    cells = (
        f"`{metric.slug}`", f"{metric.ru} / {metric.en}", metric.unit, kind,
        f"{_BETTER[metric.direction]}{plan}", metric.formula.replace("|", "\\|"),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"
