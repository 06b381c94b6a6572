"""What was measured, beside what was promised."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Line:
    """A figure with its goal. `good`: None = no goal, only told."""

    what: str
    measured: str
    goal: str = ""
    good: bool | None = None


def at_least(what: str, value: float, goal: float, unit: str = "", digits: int = 2) -> Line:
    """A figure that should not be below its goal."""
    return Line(what, f"{value:,.{digits}f}{unit}", f"≥ {goal:,g}{unit}", value >= goal)


def under(what: str, value: float, goal: float, unit: str = " ms", digits: int = 2) -> Line:
    """A figure that should be below its goal."""
    return Line(what, f"{value:,.{digits}f}{unit}", f"< {goal:,g}{unit}", value < goal)


def told(what: str, value: float, unit: str, digits: int = 0) -> Line:
    """A figure without a goal."""
    return Line(what, f"{value:,.{digits}f}{unit}")


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def median(values: Sequence[float]) -> float:
    """The median of rounds."""
    return statistics.median(values)


def show(section: str, lines: Sequence[Line]) -> None:
    """A table of one section."""
    table = Table(title=section, title_justify="left", title_style="bold")
    for name in ("figure", "measured", "goal", ""):
        table.add_column(name, justify="right" if name in {"measured", "goal"} else "left")
    marks = {True: "[green]met", False: "[red]missed", None: ""}
    for line in lines:
        table.add_row(line.what, line.measured, line.goal, marks[line.good])
    Console(width=120).print(table)


def as_json(found: dict[str, list[Line]]) -> str:
    """All sections for machines."""
    return json.dumps({k: [asdict(line) for line in v] for k, v in found.items()}, indent=1)
