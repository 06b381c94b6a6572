"""Facts in, everything derived out: read what is there, derive, write the difference.

`plan` reads and computes without a writing transaction (the account's lease keeps others away);
`commit` writes all of it in one. A timeline lends to others: a client's calls and notes to his
deals, a deal's facts to his calls; so a change ripples to the timelines it is lent to.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from service.domain.facts import Fact, Kind
from service.domain.homes import newest_home, told_home
from service.domain.mutes import Mutes
from service.domain.siblings import BUSY_CONTACT, by_number
from service.domain.story import Context, Story
from service.domain.timeline import fold
from service.domain.worlds import world_of
from service.kpi.contributions import OF_VIOLATIONS
from service.pipeline import levels, siblings
from service.pipeline.derive import Verdict, derive, settings_mark
from service.pipeline.siblings import Kin
from service.rules.book import Window
from service.rules.judge import Failure
from service.store import bulks
from service.store import derived as derived_store
from service.store import dirty as dirty_store
from service.store import facts as fact_store
from service.store import levels as level_store
from service.store import mutes as mute_store
from service.store.derived import Difference
from service.store.handles import Connection

_LENT_BY_CONTACT = {Kind.CALL, Kind.NOTE, Kind.CONTACT, Kind.MESSAGE}
_LENT_BY_DEAL = {Kind.DEAL, Kind.TASK, Kind.CALL, Kind.NOTE, Kind.MESSAGE}
_MOVABLE = {Kind.TASK, Kind.CALL, Kind.NOTE, Kind.MESSAGE, Kind.PAYMENT}
_JUDGED = frozenset(map(str, (Kind.DEAL, Kind.TASK, Kind.CALL, Kind.LEAD)))


@dataclass(slots=True)
class Plan:
    """What a batch of facts changes."""

    account_id: str
    facts: list[tuple[str, Fact]] = field(default_factory=list)
    moved: dict[tuple[str, str], str] = field(default_factory=dict)
    linked: set[tuple[str, str]] = field(default_factory=set)
    unlinked: set[tuple[str, str]] = field(default_factory=set)
    keyed: set[tuple[str, str]] = field(default_factory=set)
    unkeyed: set[tuple[str, str]] = field(default_factory=set)
    asking: set[tuple[str, str, int]] = field(default_factory=set)
    unasking: set[tuple[str, str, int]] = field(default_factory=set)
    difference: Difference = field(default_factory=Difference)
    failures: list[Failure] = field(default_factory=list)
    timelines: int = 0
    keys: list[str] = field(default_factory=list)  # of the timelines
    mute_version: int = 0  # of the mutes that it was made with


class _Batch:
    """The working set of one plan."""

    def __init__(self, connection: Connection, account_id: str, windows: Sequence[Window]) -> None:
        self.connection = connection
        self.account_id = account_id
        self.windows = windows
        self.world = world_of(windows[-1].config)
        self.plan = Plan(account_id)
        self.timelines: dict[str, dict[fact_store.Key, Fact]] = {}
        self.fresh: set[str] = set()
        self.stories: dict[str, Story] = {}
        self.contacts: dict[str, set[str]] = {}  # deal -> contacts, as after this batch
        self.deals: dict[str, set[str]] = {}  # contact -> deals, as after this batch

    def load(self, keys: Iterable[str]) -> None:
        missing = [key for key in dict.fromkeys(keys) if key not in self.timelines]
        found = fact_store.load(self.connection, self.account_id, missing)
        for key in missing:
            self.timelines[key] = found.get(key, {})

    def put(self, facts: Iterable[tuple[str, Fact]]) -> None:
        """Add facts to their timelines; what is known already is not new."""
        for timeline, fact in facts:
            key = fact_store.key_of(fact)
            known = self.timelines[timeline].get(key)
            if known is not None and known.seen_at >= fact.seen_at:
                continue
            self.timelines[timeline][key] = fact
            self.plan.facts.append((timeline, fact))
            self.fresh.add(timeline)

    def facts_of(self, key: str, kinds: set[Kind] | None = None) -> list[Fact]:
        rows = self.timelines.get(key, {})
        return [fact for _, fact in sorted(rows.items()) if kinds is None or fact.kind in kinds]


def plan(
    connection: Connection,
    account_id: str,
    facts: Sequence[Fact],
    windows: Sequence[Window],
    force: Sequence[str] = (),
    *,
    whole: bool = False,
) -> Plan:
    """What these facts change. `force`: timelines to derive again even without a new fact.

    `whole`: rows are compared one by one even where their marks are as they were.
    """
    batch = _Batch(connection, account_id, windows)
    placed = _place(batch, facts)
    batch.load([timeline for timeline, _ in placed] + list(force))
    batch.put(placed)
    first = [*batch.fresh, *(key for key in force if key not in batch.fresh)]
    if not first:
        return batch.plan
    _link(batch, first)
    may_be_settled = not (whole or facts)
    folded, stored, settled = _fold_all(batch, first, may_be_settled=may_be_settled)
    mutes = _mutes(batch, list(folded))
    verdicts = {
        key: derive(story, windows, mutes, stored[key].marks if key in settled else None)
        for key, story in folded.items()
    }
    _compare(batch, verdicts, stored, whole=whole)
    for key, verdict in verdicts.items():
        batch.plan.failures += verdict.failures
        derived_store.differ(key, stored[key], verdict.derived, batch.plan.difference)
    batch.plan.keys, batch.plan.timelines = list(folded), len(folded)
    return batch.plan


def _compare(
    batch: _Batch,
    verdicts: Mapping[str, Verdict],
    stored: dict[str, derived_store.Derived],
    *,
    whole: bool,
) -> None:
    """Where marks differ, the rows that are stored and those that should be."""
    here, config = (batch.connection, batch.account_id), batch.windows[-1].config
    marks = {key: (one.derived.marks, stored[key].marks) for key, one in verdicts.items()}
    facts = {key for key, (now, old) in marks.items() if whole or now.facts != old.facts}
    ruled = {key for key, (now, old) in marks.items() if whole or now.verdicts != old.verdicts}
    derived_store.load_violations(*here, sorted(ruled), stored)
    derived_store.load_contributions(*here, sorted(facts & ruled), stored)
    derived_store.load_contributions(*here, sorted(facts - ruled), stored, but=OF_VIOLATIONS)
    derived_store.load_contributions(*here, sorted(ruled - facts), stored, only=OF_VIOLATIONS)
    for key in facts:
        verdicts[key].write_facts(config)
    for key in ruled:
        verdicts[key].write_verdicts(config)


def _mutes(batch: _Batch, keys: Sequence[str]) -> Mutes:
    """The mutes that may concern these timelines."""
    batch.plan.mute_version = mute_store.version(batch.connection, batch.account_id)
    deals = {key.partition(":")[2] for key in keys if key.startswith("deal:")}
    for key in keys:
        if key.startswith("contact:"):
            deals |= _lent_to(batch, key.partition(":")[2])
    subjects = [row[1] for key in keys for row in batch.timelines[key] if row[0] in _JUDGED]
    return mute_store.touching(batch.connection, batch.account_id, deals, subjects)


class _Folded(NamedTuple):
    """Timelines, folded; and what is stored of them."""

    stories: dict[str, Story]
    stored: dict[str, derived_store.Derived]
    settled: set[str]  # those whose facts are as they were, and were read with these settings


def _fold_all(batch: _Batch, first: Sequence[str], *, may_be_settled: bool) -> _Folded:
    """These timelines and all that a change of them reaches.

    `may_be_settled`: no fact of them is new.
    """
    kin = Kin(batch, batch.windows[-1].config)
    kin.rekey(first)
    found = _Folded({}, {}, set())
    borrowers = [*_ripple(batch), *sorted(kin.changed())]
    wave = list(dict.fromkeys([*first, *borrowers]))
    may_settle = {*first}.difference(borrowers) if may_be_settled else set()
    settings = settings_mark(batch.windows)
    while wave:
        stored = derived_store.load_marks(batch.connection, batch.account_id, wave)
        fresh = _folded(batch, wave)
        found.settled.update(
            key for key in may_settle & fresh.keys() if stored[key].marks.settings == settings
        )
        found.stories.update(fresh)
        found.stored.update(stored)
        open_ones = {key: story for key, story in fresh.items() if key not in found.settled}
        derived_store.load_images(batch.connection, batch.account_id, list(open_ones), stored)
        reached = kin.moved(open_ones, stored)
        again = list(found.settled & reached)
        derived_store.load_images(batch.connection, batch.account_id, again, found.stored)
        found.settled.difference_update(reached)
        wave = sorted(reached - found.stories.keys())
    kin.lend(found.stories)
    return found


def _folded(batch: _Batch, keys: Sequence[str]) -> dict[str, Story]:
    batch.load(keys)
    _lend_ready(batch, keys)
    return {key: fold(key, batch.facts_of(key), batch.world, _context(batch, key)) for key in keys}


def stories(
    connection: Connection, account_id: str, keys: Sequence[str], windows: Sequence[Window]
) -> Iterator[Story]:
    """These timelines, folded from what is stored."""
    batch = _Batch(connection, account_id, windows)
    batch.load(keys)
    _link(batch, keys)
    kin = Kin(batch, windows[-1].config)
    kin.rekey(keys)
    folded = _folded(batch, keys)
    kin.lend(folded)
    yield from folded.values()


def commit(
    connection: Connection, made: Plan, windows: Sequence[Window], *, judge_levels: bool
) -> None:
    """Write a plan; inside a writing transaction whose caller holds the account."""
    account_id = made.account_id
    for subject, timeline in made.moved.items():
        fact_store.move(connection, account_id, subject, timeline)
    fact_store.write(connection, account_id, made.facts)
    fact_store.link(connection, account_id, made.linked, made.unlinked)
    siblings.write(connection, account_id, made)
    limit = windows[-1].config.document.bulk.limit if judge_levels else None
    bulks.note(connection, account_id, (fact for _, fact in made.facts), limit)
    derived_store.write(connection, account_id, made.difference)
    if made.keys and mute_store.version(connection, account_id) != made.mute_version:
        dirty_store.mark(connection, account_id, made.keys)
    dirty = levels.dirty_parts(made.difference, windows)
    if dirty and judge_levels:
        levels.judge_parts(connection, account_id, dirty, windows)
    elif dirty:
        level_store.mark(connection, account_id, levels.by_seller(dirty))


# --- homes ----------------------------------------------------------------------------------------


def _place(batch: _Batch, facts: Sequence[Fact]) -> list[tuple[str, Fact]]:
    """Each fact with its home timeline; subjects whose link changed are moved."""
    told = [f for f in facts if f.kind in _MOVABLE]
    subjects = {(str(f.kind), f.id) for f in told}
    homes = fact_store.homes(batch.connection, batch.account_id, subjects)
    changed = set()
    for fact in told:
        subject = (str(fact.kind), fact.id)
        home = told_home(fact)
        if home is not None and homes.get(subject, home) != home:
            changed.add(subject)
    by_subject: dict[tuple[str, str], list[Fact]] = {}
    for fact in told:
        by_subject.setdefault((str(fact.kind), fact.id), []).append(fact)
    for _, fact in fact_store.versions(batch.connection, batch.account_id, sorted(changed)):
        by_subject[str(fact.kind), fact.id].append(fact)
    final = {
        subject: newest_home(versions) or homes.get(subject) or f"{subject[0]}:{subject[1]}"
        for subject, versions in by_subject.items()
    }
    _move(batch, homes, final)
    return [
        (final.get((str(fact.kind), fact.id), f"{fact.kind}:{fact.id}"), fact) for fact in facts
    ]


def _move(
    batch: _Batch, homes: dict[tuple[str, str], str], final: dict[tuple[str, str], str]
) -> None:
    moves = {s: final[s] for s, home in homes.items() if final.get(s, home) != home}
    if not moves:
        return
    batch.plan.moved = moves
    batch.load([*(homes[s] for s in moves), *moves.values()])
    for subject, target in moves.items():
        source = batch.timelines[homes[subject]]
        rows = {key: fact for key, fact in source.items() if key[:2] == subject}
        for key in rows:
            del source[key]
        batch.timelines[target] |= rows
        batch.fresh |= {homes[subject], target}


# --- what timelines lend to each other ------------------------------------------------------------


def _link(batch: _Batch, keys: Sequence[str]) -> None:
    """Who is whose client after this batch: stored links, changed by the newest images."""
    deals = [key.partition(":")[2] for key in keys if key.startswith("deal:")]
    before = fact_store.contacts_of(batch.connection, batch.account_id, deals)
    for deal in deals:
        now = _contacts_told(batch.facts_of(f"deal:{deal}", {Kind.DEAL}))
        old = before.get(deal, set())
        batch.contacts[deal] = now
        batch.plan.linked |= {(deal, contact) for contact in now - old}
        batch.plan.unlinked |= {(deal, contact) for contact in old - now}
    contacts = {c for now in batch.contacts.values() for c in now}
    contacts |= {contact for _, contact in batch.plan.unlinked}
    contacts |= {key.partition(":")[2] for key in keys if key.startswith("contact:")}
    stored = fact_store.deals_of(batch.connection, batch.account_id, contacts)
    for contact in contacts:
        known = set(stored.get(contact, set()))
        known -= {deal for deal, c in batch.plan.unlinked if c == contact}
        known |= {deal for deal, c in batch.plan.linked if c == contact}
        batch.deals[contact] = known


def _contacts_told(versions: Sequence[Fact]) -> set[str]:
    """Contacts (and the company) of a deal by its newest image."""
    contacts: list[str] = []
    company: str | None = None
    for fact in sorted(versions, key=lambda f: (f.at, f.rank, f.seen_at)):
        if "contacts" in fact.body:
            contacts = fact.body["contacts"] or []
        if "company" in fact.body:
            company = fact.body["company"]
    return {*contacts, *([company] if company else [])}


def _ripple(batch: _Batch) -> list[str]:
    """Timelines that borrow from the fresh ones."""
    reached: set[str] = set()
    changed_links = {contact for _, contact in batch.plan.linked | batch.plan.unlinked}
    for key in batch.fresh:
        kind, _, subject = key.partition(":")
        if kind == "contact":
            reached |= {f"deal:{deal}" for deal in _lent_to(batch, subject)}
        elif kind == "deal":
            reached |= {f"contact:{contact}" for contact in batch.contacts.get(subject, ())}
    for contact in changed_links:
        reached |= {f"contact:{contact}", *(f"deal:{deal}" for deal in _lent_to(batch, contact))}
    return sorted(reached - batch.fresh)


def _lent_to(batch: _Batch, contact: str) -> set[str]:
    deals = batch.deals.get(contact, set())
    return deals if len(deals) <= BUSY_CONTACT else set()


def _lend_ready(batch: _Batch, keys: Sequence[str]) -> None:
    """Load what the timelines to derive borrow."""
    deals = [key.partition(":")[2] for key in keys if key.startswith("deal:")]
    unknown = [deal for deal in deals if deal not in batch.contacts]
    stored = fact_store.contacts_of(batch.connection, batch.account_id, unknown)
    for deal in unknown:
        batch.contacts[deal] = stored.get(deal, set())
    contacts = {c for deal in deals for c in batch.contacts[deal]}
    contacts |= {key.partition(":")[2] for key in keys if key.startswith("contact:")}
    missing = [contact for contact in contacts if contact not in batch.deals]
    batch.deals |= {c: set() for c in missing}
    batch.deals |= fact_store.deals_of(batch.connection, batch.account_id, missing)
    borrowed = [f"contact:{contact}" for contact in contacts]
    for deal in deals:
        inquiry = _inquiry_of(batch, deal)
        borrowed += [f"lead:{inquiry}"] if inquiry else []
    for key in keys:
        if key.startswith("contact:"):
            borrowed += [f"deal:{deal}" for deal in _lent_to(batch, key.partition(":")[2])]
    batch.load(borrowed)


def _inquiry_of(batch: _Batch, deal: str) -> str | None:
    for fact in batch.facts_of(f"deal:{deal}", {Kind.DEAL}):
        if fact.body.get("inquiry"):
            return str(fact.body["inquiry"])
    return None


def _context(batch: _Batch, key: str) -> Context:
    kind, _, subject = key.partition(":")
    if kind == "deal":
        return _context_of_deal(batch, subject)
    if kind == "contact":
        deals = sorted(_lent_to(batch, subject), key=by_number)
        lent = [f for deal in deals for f in batch.facts_of(f"deal:{deal}", _LENT_BY_DEAL)]
        busy = len(batch.deals.get(subject, ())) > BUSY_CONTACT
        return Context(lent, deals[-1] if deals else "", busy)
    return Context()


def _context_of_deal(batch: _Batch, deal: str) -> Context:
    lent: list[Fact] = []
    for contact in sorted(batch.contacts.get(deal, ())):
        if _lent_to(batch, contact):
            lent += batch.facts_of(f"contact:{contact}", _LENT_BY_CONTACT)
    inquiry = _inquiry_of(batch, deal)
    if inquiry:
        lent += batch.facts_of(f"lead:{inquiry}", {Kind.LEAD})
    return Context(lent)
