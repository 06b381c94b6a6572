"""The second layer: sellers, teams and accounts, judged from the first changed instant on."""

from collections.abc import Iterator, Mapping, Sequence

from service.domain.instant import Instant
from service.domain.steps import BY_SLOT
from service.domain.violation import Found
from service.pipeline.benches import Bench, Judged, Reader
from service.rules.book import Rule, Window
from service.rules.holders import Holder
from service.rules.norms import PLAN
from service.rules.paced import planned_metric
from service.rules.second import HEARD, holders_of, is_by_slot, parts_of, second_rules
from service.store import derived as derived_store
from service.store import heard
from service.store import levels as store
from service.store.derived import Derived, Difference
from service.store.handles import Connection

ANY = ""  # of a seller all parts, all slots
Dirty = dict[tuple[str, str, str], Instant]
"""(part, seller, slot) -> the first instant from which it is otherwise."""


def dirty_parts(difference: Difference, windows: Sequence[Window]) -> Dirty:
    """What a difference changes of the parts that rules of the second layer rest on."""
    config = windows[-1].config
    judged = {part for rule in second_rules(windows) for part in parts_of(rule, config)}
    first: Dirty = {}
    for rows in (difference.added, difference.removed):
        for _, key, rest in rows:
            if key[0] in judged:
                slot = rest[8] or (rest[5] if key[0] == "inquiries" else "")
                place, at = (key[0], rest[2], slot), rest[0]
                first[place] = min(at, first.get(place, at))
    return first


def by_seller(dirty: Dirty) -> dict[str, Instant]:
    """The first instant of each seller, as it is kept to be judged later."""
    first: dict[str, Instant] = {}
    for (_, seller, _), at in dirty.items():
        first[seller] = min(at, first.get(seller, at))
    return first


def of_sellers(marked: Mapping[str, Instant]) -> Dirty:
    """Everything of these sellers from an instant on ("": of the account)."""
    return {(ANY, seller, ANY): at for seller, at in marked.items()}


def judge_parts(
    connection: Connection, account_id: str, dirty: Dirty, windows: Sequence[Window]
) -> None:
    """Judge the second layer again where it rests on these parts, and write the difference."""
    difference = Difference()
    for timeline, old, new in judgements(connection, account_id, dirty, windows):
        derived_store.differ(timeline, old, new, difference)
    derived_store.write(connection, account_id, difference)


def judge_everything(connection: Connection, account_id: str, windows: Sequence[Window]) -> None:
    """Judge the whole second layer anew and write the difference."""
    difference = Difference()
    for timeline, old, new in everything(connection, account_id, windows):
        derived_store.differ(timeline, old, new, difference)
    derived_store.write(connection, account_id, difference)


def note_heard(
    connection: Connection,
    account_id: str,
    instants: Sequence[Instant],
    windows: Sequence[Window],
) -> None:
    """Something came from the portal: whether it was silent is judged again from there on."""
    first = heard.note(connection, account_id, instants)
    if first is not None:
        judge_parts(connection, account_id, {(HEARD, "", ""): first}, windows)


def holders(connection: Connection, account_id: str, windows: Sequence[Window]) -> list[str]:
    """All sellers that ever had a part in what is judged; "" for the account."""
    config = windows[-1].config
    parts = {part for rule in second_rules(windows) for part in parts_of(rule, config)}
    found = {""}
    for rule in second_rules(windows):
        if rule.model.counts == "plan_pace":
            found |= set(store.planned(connection, account_id, planned_metric(rule.params)))
    for part in parts - {HEARD, PLAN}:
        column = "slot" if part in BY_SLOT else None
        found |= {who for who, _ in store.counted_for(connection, account_id, part, column)}
    return sorted(found)


def judgements(
    connection: Connection, account_id: str, dirty: Dirty, windows: Sequence[Window]
) -> Iterator[Judged]:
    """(timeline, what is stored, what should be) from each one's instant on, rule by rule."""
    reader = Reader(connection, account_id)
    for rule in second_rules(windows):
        bench = Bench(reader, windows, rule)
        chosen = _chosen(connection, account_id, rule, dirty, windows)
        if bench.reads_together:
            yield from bench.at_once(chosen)
        else:
            yield from (bench.judged(holder, at) for holder, at in chosen)


def everything(
    connection: Connection, account_id: str, windows: Sequence[Window]
) -> Iterator[Judged]:
    """The whole second layer anew; what is stored and nobody accounts for any more is to go."""
    sellers = holders(connection, account_id, windows)
    dirty = of_sellers(dict.fromkeys(sellers, 0))
    reader = Reader(connection, account_id)
    strangers = dict(reader.read_stored())
    for rule in second_rules(windows):
        bench = Bench(reader, windows, rule)
        for holder, at in _chosen(connection, account_id, rule, dirty, windows):
            strangers.pop((rule.id, holder.timeline), None)
            yield bench.judged(holder, at)
    for (_, timeline), rows in strangers.items():
        yield timeline, Derived(violations={row["id"]: row for row in rows}), Derived()


def whole(
    connection: Connection, account_id: str, window: Window, rule: Rule
) -> Iterator[list[Found]]:
    """Everything that one rule in one window finds, holder by holder; nothing stored is asked."""
    dirty = of_sellers(dict.fromkeys(holders(connection, account_id, [window]), 0))
    bench = Bench(Reader(connection, account_id), [window], rule)
    for holder, _ in _chosen(connection, account_id, rule, dirty, [window]):
        yield bench.whole(holder)


def _chosen(
    connection: Connection,
    account_id: str,
    rule: Rule,
    dirty: Dirty,
    windows: Sequence[Window],
) -> list[tuple[Holder, Instant]]:
    """Whom a rule has to judge again, each from which instant on."""
    parts = parts_of(rule, windows[-1].config)
    first: dict[tuple[str, str], Instant] = {}
    for (part, seller, slot), at in dirty.items():
        if part == ANY or part in parts:
            for pair in _pairs(connection, account_id, rule, parts, part, seller, slot):
                first[pair] = min(at, first.get(pair, at))
    found = []
    for holder in holders_of(rule, first, windows, account_id):
        slot = holder.slot
        mine = [
            at
            for (seller, apart), at in first.items()
            if (not holder.sellers or seller in holder.sellers) and (not slot or apart == slot)
        ]
        found.append((holder, min(mine)))
    return found


def _pairs(
    connection: Connection,
    account_id: str,
    rule: Rule,
    parts: Sequence[str],
    part: str,
    seller: str,
    slot: str,
) -> list[tuple[str, str]]:
    """The (seller, slot) pairs that a dirty part means for a rule."""
    if part != ANY or not is_by_slot(rule):
        return [(seller, slot)]
    column = "slot" if parts[0] in BY_SLOT else "source"
    known = store.counted_for(connection, account_id, parts[0], column)
    return [(who, apart) for who, apart in known if who == seller]
