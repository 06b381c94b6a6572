"""`dozor kpi`: the figures and what they mean."""

from typing import Annotated

import typer

from service.cli import base
from service.kpi import paper
from service.kpi.metric import KINDS
from service.kpi.metrics import METRICS, formula_of

app = typer.Typer(help="The figures and what they mean.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="data for programs")]


@app.command("list")
def list_figures(
    markdown: Annotated[bool, typer.Option(help="as the page deploy/bi/figures.md")] = False,
    lang: Annotated[str, typer.Option(help="ru or en; default: DOZOR_LANG")] = "",
    as_json: Json = False,
) -> None:
    """All figures with unit, kind and formula."""
    if markdown:
        print(paper.page(), end="")
        return
    spoken = base.spoken(lang)
    rows = [
        (
            m.slug,
            m.title(spoken),
            m.unit,
            KINDS.get(m.kind, m.kind),
            m.direction,
            formula_of(m, spoken),
        )
        for m in METRICS.values()
    ]
    names = ("slug", "title", "unit", "kind", "direction", "formula")
    if as_json:
        base.show_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    base.show_table(names, rows)
