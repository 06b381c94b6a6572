"""The second layer as a whole: which parts a rule rests on, for whom it is judged, and the verdict.

Parts are the steps and events of the first layer (`domain.steps`, contributions). Whoever reads
them, from a database or from a test's facts, makes `Track`s of them and asks here.
"""

from collections.abc import Iterable, Iterator, Sequence

from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.steps import ACTIONS, BY_SLOT
from service.domain.violation import Found
from service.rules.book import Rule, Window
from service.rules.forms import SECOND
from service.rules.holders import Carried, Holder, Track
from service.rules.levels import MINUTES, judge_level
from service.rules.norms import PLAN, SALES, judge_norm
from service.rules.paced import PACED, planned_metric
from service.rules.silences import judge_silence

HEARD = "heard"  # instants at which anything came from the portal
_OF_NORMS = {
    "calls_out": ("calls_out",),
    "talk_minutes": ("talk_seconds",),
    "hygiene": ("deals_open", "hygiene_cost"),
}
_OF_STREAMS = {ACTIONS: (ACTIONS, "deals_open", "meetings")}


def second_rules(windows: Sequence[Window]) -> list[Rule]:
    """The rules of the second layer of any window, each once, as they are now."""
    found = {r.id: r for window in windows for r in window.rules if r.model.on in SECOND}
    return list(found.values())


def parts_of(rule: Rule, config: Config) -> tuple[str, ...]:
    """What a rule of the second layer rests on."""
    if rule.model.level == "tasks_on_day":
        return ("tasks_on_day", MINUTES)
    if rule.model.form == "level":
        return (rule.metric(config),)
    if rule.model.counts == "plan_pace":
        paced = PACED[planned_metric(rule.params)]
        return (PLAN, *paced.parts, *([SALES] if paced.money else []))
    if rule.model.form == "norm":
        return _OF_NORMS[rule.model.counts or ""]
    stream = rule.stream or ""
    return _OF_STREAMS.get(stream, (stream,))


def is_by_slot(rule: Rule) -> bool:
    """Whether days or sources are judged apart."""
    return rule.model.level in BY_SLOT or rule.stream == "inquiries"


def holders_of(
    rule: Rule, pairs: Iterable[tuple[str, str]], windows: Sequence[Window], account_id: str
) -> Iterator[Holder]:
    """Whom a rule judges, given the (seller, slot) pairs that something is counted for."""
    slotted = is_by_slot(rule)
    known = {(seller, slot if slotted else "") for seller, slot in pairs}
    if rule.model.on == "account":
        slots = {slot for _, slot in known if slot or not slotted}
        yield from (Holder("account", account_id, (), slot) for slot in sorted(slots))
    elif rule.model.on == "team":
        sellers = {seller for seller, _ in known}
        yield from (h for h in _teams(windows) if sellers.intersection(h.sellers))
    else:
        yield from (
            Holder("seller", seller, (seller,), slot)
            for seller, slot in sorted(known)
            if seller and (slot or not slotted)
        )


def _teams(windows: Sequence[Window]) -> list[Holder]:
    """All teams of any time, with everybody who ever was in them."""
    rota = windows[-1].config.memberships.rota
    return [Holder("team", team, tuple(sorted(rota.ever(team)))) for team in sorted(rota.teams)]


def judge_second(
    rule: Rule,
    holder: Holder,
    track: Track,
    windows: Sequence[Window],
    carried: Carried | None = None,
    start: Instant = 0,
) -> list[Found]:
    """Intervals of a rule of the second layer for one holder from `start` on."""
    if rule.model.form == "norm":
        return judge_norm(rule.id, holder, track, windows, carried, start)
    if rule.model.form == "state":
        return judge_silence(rule.id, holder, track, windows, rule.stream or "", start)
    return judge_level(rule.id, holder, track, windows, carried, start)
