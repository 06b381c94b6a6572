"""The KPI query: metrics x dimensions x periods, over several accounts (api.md 3.6).

Sums come per account in its own zone; everything above (teams, totals, ratios) is added and divided
here from sums, never from rows; percentiles are ranked from values, derived figures worked out
anew, at every level.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Connection

from service.domain.config import Config
from service.kpi import sources, ways
from service.kpi.convert import add_counts, gather_converted
from service.kpi.derived import Ground, Made
from service.kpi.gathering import gather_terms
from service.kpi.metric import Metric
from service.kpi.question import Cells, Key, Question, Term, own_filters
from service.kpi.reach import Reach
from service.kpi.spreads import gather_spread
from service.kpi.sums import ever
from service.kpi.terms import Get, Teller, Told, all_terms, notes_of, ranked, teller

__all__ = ["Question", "Table", "answer"]


@dataclass
class Table:
    """The answer's rows: one per (period, group, currency).

    Each has `values` by slug, `notes` by slug (what stands beside) and, of ratios, both `sums` and
    what they are before rounding (`exact`).
    """

    rows: list[dict[str, Any]]
    totals: list[dict[str, Any]]


@dataclass(frozen=True)
class _Scene:
    """What rows are made from."""

    question: Question
    configs: Mapping[str, Config]
    cells: Cells
    made: Mapping[str, Made]

    @cached_property
    def tellers(self) -> Mapping[str, Teller]:
        """How figures that are added up, divided or unknown throughout are told of any row."""
        found: dict[str, Teller] = {}
        for metric in self.question.needed:
            if _is_silent(metric, self):
                found[metric.slug] = lambda _: Told(None, {})
            elif metric.kind not in {"percentile", "derived"}:
                found[metric.slug] = teller(metric, self.question)
        return found


def answer(connection: Connection, configs: Mapping[str, Config], question: Question) -> Table:
    """All figures of a question."""
    cells = _gather(connection, configs, question)
    ground = Ground(connection, configs, question, lambda other: answer(connection, configs, other))
    made = {
        metric.slug: ways.make(ground, metric)
        for metric in question.needed
        if metric.kind == "derived"
    }
    for one in made.values():
        for _, group, currency in one.rows:
            cells.groups.setdefault((group, currency))
    return _tabulate(_Scene(question, configs, cells, made))


def _gather(connection: Connection, configs: Mapping[str, Config], question: Question) -> Cells:
    cells = Cells()
    reaches: list[Reach] = []
    terms = all_terms(question.needed, question)
    for config in configs.values():
        filters = own_filters(config, question)
        if filters is None:
            continue
        stored = [term for term in terms if term.part not in sources.COMPUTED]
        gather = gather_converted if question.convert else gather_terms
        gather(connection, config, question, filters, stored, cells)
        computed = [term for term in terms if term.part in sources.COMPUTED]
        reach = sources.reach_of(connection, config, question, filters)
        reaches.append(reach)
        made = Cells() if question.convert else cells
        sources.gather(reach, question, computed, made)
        if question.convert:
            add_counts(config, question, made, cells)
        _look_for_channels(connection, config, question, cells)
    for metric in question.needed:
        if metric.of_level and sources.COMPUTED.issuperset(metric.parts):
            sources.rank(reaches, question, metric, cells)
        elif metric.kind == "percentile":
            gather_spread(connection, configs, question, metric, cells)
    return cells


def _look_for_channels(
    connection: Connection, config: Config, question: Question, cells: Cells
) -> None:
    """Without telephony and any call, calls are unknown, not none; so are messages."""
    account = config.account_id
    asks_calls = any(metric.telephony for metric in question.needed) and not config.telephony
    if asks_calls and not ever(connection, account, ("calls",)):
        cells.quiet.add(account)
    asks_words = any(metric.needs == "messages" for metric in question.needed)
    if asks_words and not ever(connection, account, ("messages_in", "messages_out")):
        cells.wordless.add(account)


def _tabulate(scene: _Scene) -> Table:
    """Rows of an answer, in order of period, then group."""
    question, cells = scene.question, scene.cells
    default = _currencies(question, scene.configs)
    groups = list(cells.groups) or ([((), c) for c in default] if not question.dimensions else [])
    rows = []
    for number, (first, last) in enumerate(question.spans()):
        for group, currency in sorted(groups, key=lambda g: ([v or "" for v in g[0]], g[1])):
            row: dict[str, Any] = {"number": number}
            if question.grain is not None:
                row |= {"period": first, "period_end": last}
            row |= dict(zip(question.dimensions, group, strict=True))
            row["currency"] = currency or None
            row["converted"] = (number, group, currency) in cells.converted
            row |= _told(scene, _row_figure(scene, (number, group, currency)))
            rows.append(row)
    moved = {currency for _, _, currency in cells.converted}
    totals = [
        {
            "currency": currency or None,
            "converted": currency in moved,
            **_told(scene, _whole_figure(scene, currency)),
        }
        for currency in sorted({c for _, c in groups}) or default
    ]
    return Table(rows, totals)


def _currencies(question: Question, configs: Mapping[str, Config]) -> list[str]:
    if not question.by_currency:
        return [""]
    if question.convert:
        return [question.convert]
    return sorted({config.currency for config in configs.values()}) or ["RUB"]


class _Figure:
    """Figures of one row, or of the whole. `get` adds up; the rest is looked up."""

    def __init__(self, scene: _Scene, get: Get, key: Key | None, currency: str) -> None:
        self._scene = scene
        self._get = get
        self._key = key
        self._currency = currency

    def told(self, metric: Metric) -> Told:
        """A figure with what stands beside it, of its own."""
        scene = self._scene
        teller = scene.tellers.get(metric.slug)
        if teller is not None:
            return teller(self._get)
        if metric.kind == "percentile":
            if self._key is None:
                return ranked(metric, scene.cells.wholes.get((metric.slug, self._currency)))
            return ranked(metric, scene.cells.spreads.get((metric.slug, self._key)))
        made = scene.made[metric.slug]
        found = made.wholes.get(self._currency)
        if self._key is not None:
            found = made.rows.get(self._key)
        return found or Told(made.missing, dict.fromkeys(notes_of(metric, scene.question)))


def _row_figure(scene: _Scene, key: Key) -> _Figure:
    own = scene.cells.sums.get(key, {})
    return _Figure(scene, lambda term: own.get(term, 0), key, key[2])


def _whole_figure(scene: _Scene, currency: str) -> _Figure:
    """From sums: flows over all periods, levels at the last period's end."""
    last = len(scene.question.spans()) - 1
    sums: dict[Term, int] = {}
    for (number, _, own), cell in scene.cells.sums.items():
        for term, value in cell.items() if own == currency else ():
            if number == last or not term.level:
                sums[term] = sums.get(term, 0) + value
    return _Figure(scene, lambda term: sums.get(term, 0), None, currency)


def _told(scene: _Scene, figure: _Figure) -> dict[str, Any]:
    """Values, notes, sums and exact ratios by slug."""
    told = {metric.slug: figure.told(metric) for metric in scene.question.needed}
    notes = {}
    for slug, shown in scene.question.shown:
        notes[slug] = {**told[slug].notes, **{name: told[other].value for name, other in shown}}
    asked = list(notes)
    return {
        "values": {slug: told[slug].value for slug in asked},
        "notes": notes,
        "sums": {slug: (told[slug].above, told[slug].below) for slug in asked},
        "exact": {slug: told[slug].exact for slug in asked},
    }


def _is_silent(metric: Metric, scene: _Scene) -> bool:
    """Figures on calls are null where no account has telephony (decisions.md 34); so are others."""
    if metric.needs == "messages":
        return bool(scene.configs) and scene.cells.wordless >= set(scene.configs)
    if metric.needs and not any(_has(metric.needs, c) for c in scene.configs.values()):
        return True
    return metric.telephony and bool(scene.configs) and scene.cells.quiet >= set(scene.configs)


def _has(need: str, config: Config) -> bool:
    """Whether an account has what a figure needs: stages of proposals, classes of amounts."""
    has = {
        "proposals": bool(config.standards.proposal_stages),
        "amount_classes": config.standards.amount_classes is not None,
    }
    return has[need]
