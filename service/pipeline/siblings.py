"""Whose deals are one client's, as after a batch; and what they lend to each other.

One client: a shared contact or company, or a shared keyed hash of a phone or e-mail. A key of more
than five clients (a switchboard, info@) is nobody's; a person of very many deals is a switchboard.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from service.domain.config import Config
from service.domain.facts import Fact, Kind
from service.domain.siblings import (
    BUSY_CONTACT,
    Sibling,
    as_told,
    older_than,
    sibling_of,
    wins_told,
)
from service.domain.story import Story
from service.pipeline.askers import Askers
from service.store import askers, clients, images
from service.store import facts as fact_store
from service.store.askers import Row
from service.store.derived import Derived
from service.store.handles import Connection

MOST_CLIENTS = 5  # a key of more clients than this is nobody's

Pairs = set[tuple[str, str]]


class Changes(Protocol):
    """What a batch changes in who is whose client: (deal, contact) and (contact, key)."""

    linked: Pairs
    unlinked: Pairs
    keyed: Pairs
    unkeyed: Pairs
    asking: set[Row]
    unasking: set[Row]


class Batch(Protocol):
    """What of a batch is needed here."""

    connection: Connection
    account_id: str
    contacts: dict[str, set[str]]
    deals: dict[str, set[str]]
    fresh: set[str]

    @property
    def plan(self) -> Changes:
        """What it changes."""

    def load(self, keys: Iterable[str]) -> None:
        """Load timelines that are not at hand."""

    def facts_of(self, key: str, kinds: set[Kind] | None = None) -> list[Fact]:
        """The facts of a loaded timeline."""


class Kin:
    """Clients and their deals in one batch."""

    def __init__(self, batch: Batch, config: Config) -> None:
        self._batch = batch
        self._config = config
        self._keys: dict[str, frozenset[str]] = {}
        self._holders: dict[str, tuple[set[str], set[str]]] = {}  # key -> before, after
        self._known: dict[str, Sibling | None] = {}
        self._askers = Askers(batch, config)

    def rekey(self, timelines: Sequence[str]) -> None:
        """Which keys these persons and inquiries have now, and had before."""
        self._askers.rekey(timelines)
        people = [key.partition(":")[2] for key in timelines if key.startswith("contact:")]
        before = clients.keys_of(self._batch.connection, self._batch.account_id, people)
        plan = self._batch.plan
        for contact in people:
            old, now = before.get(contact, set()), self._keys_of(contact)
            plan.keyed |= {(contact, key) for key in now - old}
            plan.unkeyed |= {(contact, key) for key in old - now}

    def changed(self) -> set[str]:
        """Timelines of deals that got or lost a client, or that have such deals beside them.

        And those beside new inquiries.
        """
        plan = self._batch.plan
        relinked = {contact for _, contact in plan.linked | plan.unlinked}
        rekeyed = plan.keyed | plan.unkeyed
        self._batch.load(f"contact:{contact}" for contact in sorted(relinked))
        keys = {key for _, key in rekeyed}.union(*map(self._keys_of, relinked))
        self._learn(keys)
        people = relinked | {contact for contact, _ in rekeyed}
        for before, after in (self._holders[key] for key in keys):
            if min(len(before), len(after)) <= MOST_CLIENTS:
                people |= before | after
        self._load_deals(people)
        reached = {f"deal:{deal}" for contact in people for deal in self._reached(contact)}
        return reached | self._askers.changed()

    def moved(self, stories: Mapping[str, Story], stored: Mapping[str, Derived]) -> set[str]:
        """Timelines beside the deals that are now open at other times than before."""
        found = []
        for key, story in stories.items():
            if story.kind == "deal":
                self._known[story.id] = sibling_of(story, self._config)
                if self._known[story.id] != _stored(stored[key].deal):
                    found.append(story.id)
        beside = self._beside(found)
        reached = {f"deal:{deal}" for others in beside.values() for deal in others}
        return reached | self._askers.around(found)

    def lend(self, stories: Mapping[str, Story]) -> None:
        """Give each deal the older ones of its client, and each inquiry those beside it."""
        deals = {story.id: story for story in stories.values() if story.deal}
        beside = self._beside(deals)
        lenders = set().union(*beside.values())
        for deal in (lenders & deals.keys()) - self._known.keys():
            self._known[deal] = sibling_of(deals[deal], self._config)
        strangers = lenders - self._known.keys()
        known = images.siblings(self._batch.connection, self._batch.account_id, strangers)
        known |= {deal: one for deal, one in self._known.items() if one is not None}
        for deal, others in beside.items():
            deals[deal].older = older_than(deals[deal], [known[d] for d in others if d in known])
        self._lend_inquiries(stories, deals)

    def _lend_inquiries(self, stories: Mapping[str, Story], deals: Mapping[str, Story]) -> None:
        known: dict[str, Sibling | None] = {
            deal: sibling_of(story, self._config) for deal, story in deals.items()
        }
        if missing := self._askers.lend(stories, known):
            stored = images.siblings(self._batch.connection, self._batch.account_id, missing)
            self._askers.lend(stories, dict.fromkeys(missing) | stored | known)

    # --- who is who -------------------------------------------------------------------------------

    def _beside(self, deals: Iterable[str]) -> dict[str, set[str]]:
        """The other deals of the clients of each of these (if there are any)."""
        batch = self._batch
        mine = {deal: batch.contacts[deal] for deal in deals if batch.contacts.get(deal)}
        people = set().union(*mine.values())
        self._learn(set().union(*map(self._keys_of, people)))
        same = {contact: self._same(contact) for contact in people}
        self._load_deals(set().union(*same.values()))
        found: dict[str, set[str]] = {}
        for deal, contacts in mine.items():
            kin = {c for contact in contacts for c in same[contact]}
            others = {d for c in kin if len(batch.deals[c]) <= BUSY_CONTACT for d in batch.deals[c]}
            if others - {deal}:
                found[deal] = others - {deal}
        return found

    def _same(self, contact: str) -> set[str]:
        """This person and those with one of their phones or addresses."""
        found = {contact}
        for key in self._keys_of(contact):
            _, after = self._holders[key]
            if len(after) <= MOST_CLIENTS:
                found |= after
        return found

    def _keys_of(self, contact: str) -> frozenset[str]:
        """The keys of a person whose timeline is at hand."""
        if contact not in self._keys:
            self._keys[contact] = _keys_told(
                self._batch.facts_of(f"contact:{contact}", {Kind.CONTACT})
            )
        return self._keys[contact]

    def _learn(self, keys: set[str]) -> None:
        """Who has these keys before and after the batch."""
        batch, plan = self._batch, self._batch.plan
        missing = sorted(keys - self._holders.keys())
        if not missing:
            return
        most = MOST_CLIENTS + 1 + len(plan.unkeyed)  # enough to see that it is nobody's
        stored = clients.holders(batch.connection, batch.account_id, missing, most)
        for key in missing:
            before = stored.get(key, set())
            after = before - {contact for contact, k in plan.unkeyed if k == key}
            after |= {contact for contact, k in plan.keyed if k == key}
            self._holders[key] = (before, after)

    def _load_deals(self, people: set[str]) -> None:
        """Whose links are not in the batch has those that are stored."""
        batch = self._batch
        missing = sorted(people - batch.deals.keys())
        batch.deals.update({contact: set() for contact in missing})
        batch.deals.update(fact_store.deals_of(batch.connection, batch.account_id, missing))

    def _reached(self, contact: str) -> set[str]:
        """The deals of a person now and before, unless they were and are a switchboard's."""
        plan, after = self._batch.plan, self._batch.deals[contact]
        before = after - {deal for deal, c in plan.linked if c == contact}
        before |= {deal for deal, c in plan.unlinked if c == contact}
        return before | after if min(len(before), len(after)) <= BUSY_CONTACT else set()


def _keys_told(versions: Iterable[Fact]) -> frozenset[str]:
    """The keys by the newest image; nobody who is deleted has any."""
    body: dict[str, Any] = {}
    for fact in sorted(versions, key=lambda f: (f.at, f.rank, f.seen_at)):
        body |= fact.body
    return frozenset() if body.get("deleted") else frozenset(body.get("keys") or ())


def _stored(row: Mapping[str, Any] | None) -> Sibling | None:
    if row is None or row["born_at"] is None:
        return None
    return Sibling(row["born_at"], row["id"], as_told(row["presence"]), wins_told(row["wins"]))


def write(connection: Connection, account_id: str, changes: Changes) -> None:
    """Keep the keys of persons and inquiries as they are after a batch."""
    clients.rekey(connection, account_id, changes.keyed, changes.unkeyed)
    askers.rekey(connection, account_id, changes.asking, changes.unasking)
