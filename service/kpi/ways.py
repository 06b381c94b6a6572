"""In what way each derived figure is worked out (kpis.md 3).

The plain way: the factors of the same group and period (or of the days before its end, `trailing`)
go through the figure's recipe. What needs more (shares, averages, probabilities, plans) has a way
of its own in `WAYS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from service.domain.period import Period, local_date
from service.kpi import odds
from service.kpi.averages import average_of
from service.kpi.derived import Ground, Made, from_table, key_of
from service.kpi.loadspread import load_spread
from service.kpi.metric import Metric, Number
from service.kpi.metrics import METRICS
from service.kpi.planspans import SpanPlans
from service.kpi.question import Group
from service.kpi.terms import Told

Way = Callable[[Ground, Metric], Made]


def make(ground: Ground, metric: Metric) -> Made:
    """A derived figure, in its own way or the plain one."""
    way = WAYS.get(metric.slug)
    return way(ground, metric) if way is not None else plain(ground, metric)


def plain(ground: Ground, metric: Metric) -> Made:
    """The recipe on the factors of each row."""
    factors = ground.question.about(METRICS[name] for name in metric.factors)
    if not metric.trailing:
        return from_table(metric, factors, ground.answer(factors))
    made = Made()
    back = timedelta(days=metric.trailing - 1)
    for number, (_, last) in enumerate(ground.question.spans()):
        question = factors.over(last - back, last)
        one = from_table(metric, question, ground.answer(question))
        made.rows |= {(number, key[1], key[2]): told for key, told in one.rows.items()}
        made.wholes = one.wholes
    return made


# --- shares ---------------------------------------------------------------------------------------


def share_of_losses(ground: Ground, _metric: Metric) -> Made:
    """Losses with a reason / losses of the same row whatever their reason."""
    question = ground.question
    own = question.about([METRICS["deals_lost"], METRICS["value_lost"]])
    whole = replace(
        question.about([METRICS["losses_all"], METRICS["value_lost"]]),
        dimensions=tuple(d for d in question.dimensions if d != "reason"),
        filters=tuple(f for f in question.filters if f[0] != "reason"),
    )
    kept = [n for n, name in enumerate(question.dimensions) if name != "reason"]
    table, under = ground.answer(own), ground.answer(whole)
    below = {key_of(row, whole): row["values"]["losses_all"] for row in under.rows}
    made = Made()
    for row in table.rows:
        number, group, currency = key_of(row, own)
        key = (number, tuple(group[n] for n in kept), currency)
        made.rows[number, group, currency] = _share(row["values"], below.get(key, 0))
    totals = {total["currency"]: total["values"]["losses_all"] for total in under.totals}
    for total in table.totals:
        found = totals.get(total["currency"], 0)
        made.wholes[total["currency"] or ""] = _share(total["values"], found)
    return made


def _share(values: Mapping[str, Number], below: Number) -> Told:
    lost = values["deals_lost"]
    notes = {"deals_lost": lost, "losses_all": below, "value_lost": values["value_lost"]}
    if not below or below < 0 or lost is None:
        return Told(None, notes)
    return Told(round(lost / below, 6), notes)


# --- what the pipeline is worth -------------------------------------------------------------------


def weighted(ground: Ground, _metric: Metric) -> Made:
    """Amounts in work x probability of their stage, as frozen at the beginning of the month.

    Unknown where an account had closed no deal by then.
    """
    question = ground.question
    made, kept = Made(missing=0), len(question.dimensions)
    for number, (_, last) in enumerate(question.spans()):
        asked = replace(
            question.about([METRICS["pipeline_value"]]).over(last, last),
            dimensions=(*question.dimensions, "account", "stage"),
        )
        exact: dict[tuple[Group, str], Fraction] = {}
        few: dict[tuple[Group, str], int] = {}
        whole: dict[str, Fraction] = {}
        unknown: set[Any] = set()
        for row in ground.answer(asked).rows:
            value, stage = row["values"]["pipeline_value"], row["stage"]
            if not value or stage is None:
                continue
            chances = _chances(ground, row["account"], last)
            chance = chances.of(stage)
            _, group, currency = key_of(row, asked)
            place = (group[:kept], currency)
            if not chances.known:
                unknown |= {place, currency}
            exact[place] = exact.get(place, Fraction(0)) + value * chance.share
            few[place] = few.get(place, 0) + chance.is_mean
            whole[currency] = whole.get(currency, Fraction(0)) + value * chance.share
        for place, amount in exact.items():
            value = None if place in unknown else _half_up(amount)
            made.rows[number, *place] = Told(value, {"stages_by_mean": few[place]})
        made.wholes = {
            currency: Told(
                None if currency in unknown else _half_up(amount), {"stages_by_mean": None}
            )
            for currency, amount in whole.items()
        }
    return made


def _chances(ground: Ground, account: str, on: date) -> odds.Chances:
    config = ground.configs[account]
    day = min(on, local_date(ground.question.as_of, config.timezone))
    first = Period.around(day, "month").first
    key = (account, first)
    if key not in ground.chances:
        ground.chances[key] = odds.chances(ground.connection, config, first)
    return ground.chances[key]


def _half_up(value: Fraction) -> int:
    return int((value + Fraction(1, 2)) // 1)


def coverage(ground: Ground, _metric: Metric) -> Made:
    """Weighted pipeline / what the month's plan of receipts still lacks; null where it is met."""
    question, made = ground.question, Made()
    if set(question.dimensions) - {"account", "team", "seller"}:
        return made
    for number, (_, last) in enumerate(question.spans()):
        month = Period.around(last, "month")
        asked = question.about([METRICS["pipeline_weighted"], METRICS["receipts"]])
        whole = asked.over(month.first, month.last)
        plans = SpanPlans.read(ground.connection, ground.configs, whole)
        ahead = ground.answer(asked.about([METRICS["pipeline_weighted"]]).over(last, last))
        done = ground.answer(asked.about([METRICS["receipts"]]).over(month.first, last))
        facts = {key_of(row, asked)[1:]: row["values"]["receipts"] for row in done.rows}
        for row in ahead.rows:
            _, group, currency = key_of(row, asked)
            planned = plans.of(METRICS["receipts"], row)
            made.rows[number, group, currency] = _covered(
                row["values"]["pipeline_weighted"], planned, facts.get((group, currency), 0)
            )
        if not question.dimensions:
            made.wholes = {c: t for (n, _, c), t in made.rows.items() if n == number}
    return made


def _covered(value: Number, planned: int | None, fact: Number) -> Told:
    left = None if planned is None else planned - (fact or 0)
    notes = {"pipeline_weighted": value, "plan_left": left}
    if left is None or left <= 0 or value is None:
        return Told(None, notes)
    return Told(round(value / left, 6), notes)


WAYS: dict[str, Way] = {
    "loss_reasons": share_of_losses,
    **{
        f"{slug}_avg": average_of(slug)
        for slug in ("deals_open", "tasks_overdue", "deals_without_task", "deals_stuck")
    },
    "pipeline_weighted": weighted,
    "coverage": coverage,
    "load_spread": load_spread,
}
