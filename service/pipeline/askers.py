"""Whose inquiries are one client's, as after a batch; and what they lend to each other.

One client: a shared keyed hash of a phone or e-mail, or the CRM's own person. Only inquiries within
hours of each other matter; a key of very many of these (a line of our own, a test) is nobody's.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from service.domain.asked import HOUR, Asked, asked_of, beside_older
from service.domain.config import Config
from service.domain.facts import Fact, Kind
from service.domain.siblings import Sibling, by_number
from service.domain.story import Story
from service.store import askers as store
from service.store.askers import Row
from service.store.handles import Connection

MOST_INQUIRIES = 20  # of one key within the hours that matter; with more it is nobody's


class Changes(Protocol):
    """What a batch changes in who asked."""

    asking: set[Row]
    unasking: set[Row]


class Batch(Protocol):
    """What of a batch is needed here."""

    connection: Connection
    account_id: str
    fresh: set[str]

    @property
    def plan(self) -> Changes:
        """What it changes."""

    def load(self, keys: Iterable[str]) -> None:
        """Load timelines that are not at hand."""

    def facts_of(self, key: str, kinds: set[Kind] | None = None) -> list[Fact]:
        """The facts of a loaded timeline."""


class Askers:
    """Inquiries and their clients in one batch."""

    def __init__(self, batch: Batch, config: Config) -> None:
        self._batch = batch
        self._config = config
        self._window = max(config.document.same_inquiry_hours * 3600, HOUR)

    def rekey(self, timelines: Iterable[str]) -> None:
        """By which keys these inquiries are known now, and were before."""
        leads = [key.partition(":")[2] for key in timelines if key.startswith("lead:")]
        before = store.keys_of(self._batch.connection, self._batch.account_id, leads)
        now = {row for lead in leads for row in self._rows_of(lead)}
        self._batch.plan.asking |= now - before
        self._batch.plan.unasking |= before - now

    def changed(self) -> set[str]:
        """Timelines beside the inquiries that are new in the batch, and the deals they became."""
        plan = self._batch.plan
        fresh = {key.partition(":")[2] for key in self._batch.fresh if key.startswith("lead:")}
        rows = {row for lead in fresh for row in self._rows_of(lead)}
        return set(self._timelines(self._seeing({*rows, *plan.unasking}) | fresh))

    def around(self, deals: Iterable[str]) -> set[str]:
        """Timelines beside the inquiries that these deals were born of."""
        asked = [lead for deal in deals if (lead := self._inquiry_of(deal))]
        rows = {row for lead in asked for row in self._rows_of(lead)}
        return set(self._timelines(self._seeing(rows)))

    def lend(self, stories: Mapping[str, Story], known: Mapping[str, Sibling | None]) -> set[str]:
        """Give each inquiry, and each deal that was born of one, the client's other inquiries.

        `known`: deals as others see them. Returns those that it lacks.
        """
        mine: dict[str, str] = {}
        for key, story in stories.items():
            lead = story.id if story.kind == "lead" else self._inquiry_of(story.id)
            if lead and (story.lead or story.deal):
                mine[key] = lead
        beside = self._beside({row for lead in mine.values() for row in self._rows_of(lead)})
        others = {lead: self._asked(beside.get(lead, ())) for lead in set(mine.values())}
        deals = {one.deal for found in others.values() for one in found if one.deal}
        if missing := deals - known.keys():
            return missing
        for key, lead in mine.items():
            self._give(stories[key], lead, others[lead], known)
        return set()

    def _give(
        self,
        story: Story,
        lead: str,
        others: Iterable[Asked],
        known: Mapping[str, Sibling | None],
    ) -> None:
        own = asked_of(lead, self._facts_of(lead), self._config) if others else None
        if own is None:
            return
        older = [_as_deal(one, known) for one in others if one.age < own.age]
        story.asked = sorted(older, key=lambda one: one.age)
        story.asked_after = frozenset(one.deal for one in others if one.age > own.age and one.deal)
        if story.lead:
            story.lead = beside_older(story.lead, story.asked)

    # --- who is who -------------------------------------------------------------------------------

    def _facts_of(self, lead: str) -> list[Fact]:
        return self._batch.facts_of(f"lead:{lead}", {Kind.LEAD})

    def _rows_of(self, lead: str) -> list[Row]:
        """The keys of an inquiry whose timeline is at hand, with when it came."""
        body: dict[str, object] = {}
        for fact in sorted(self._facts_of(lead), key=lambda f: (f.at, f.rank, f.seen_at)):
            body |= {name: value for name, value in fact.body.items() if value is not None}
        keys, at = body.get("keys"), body.get("created_at")
        if body.get("deleted") or not isinstance(keys, list) or not isinstance(at, int):
            return []
        return [(lead, str(key), at) for key in keys]

    def _inquiry_of(self, deal: str) -> str:
        told = self._batch.facts_of(f"deal:{deal}", {Kind.DEAL})
        return next((str(f.body["inquiry"]) for f in told if f.body.get("inquiry")), "")

    def _beside(self, rows: Iterable[Row]) -> dict[str, set[str]]:
        """Inquiry -> the others of its client, as after the batch."""
        mine = set(rows)
        of = self._holders(mine, self._window)
        found: dict[str, set[str]] = {}
        for lead, key, at in mine:
            near = self._near(of[key], at)
            if len(near) <= MOST_INQUIRIES:
                found.setdefault(lead, set()).update(near - {lead})
        return found

    def _seeing(self, rows: Iterable[Row]) -> set[str]:
        """Inquiries that have these beside them, or had them before the batch."""
        mine, plan = set(rows), self._batch.plan
        of = self._holders(mine, 2 * self._window)
        most = MOST_INQUIRIES + len(plan.asking) + len(plan.unasking)
        return {
            other
            for lead, key, at in mine
            for other, when in of[key]
            if other != lead and abs(at - when) <= self._window
            if len(self._near(of[key], when)) <= most
        }

    def _near(self, held: Iterable[tuple[str, int]], at: int) -> set[str]:
        return {other for other, when in held if abs(at - when) <= self._window}

    def _holders(self, rows: set[Row], reach: int) -> dict[str, set[tuple[str, int]]]:
        """Key -> (inquiry, when it came) of those so near to one of these rows."""
        spans: dict[str, tuple[int, int]] = {}
        for _, key, at in rows:
            low, high = spans.get(key, (at, at))
            spans[key] = min(low, at - reach), max(high, at + reach)
        of: dict[str, set[tuple[str, int]]] = {key: set() for key in spans}
        if not spans:
            return of
        plan = self._batch.plan
        held = store.holders(self._batch.connection, self._batch.account_id, spans)
        for lead, key, at in (held - plan.unasking) | plan.asking:
            if key in of:
                of[key].add((lead, at))
        return of

    def _asked(self, leads: Iterable[str]) -> list[Asked]:
        """Other inquiries, read from their facts."""
        ordered = sorted(leads, key=by_number)
        self._batch.load(f"lead:{lead}" for lead in ordered)
        read = [asked_of(lead, self._facts_of(lead), self._config) for lead in ordered]
        return [one for one in read if one is not None]

    def _timelines(self, leads: Iterable[str]) -> Iterator[str]:
        """The timelines of inquiries, and of the deals that they became."""
        every = sorted(set(leads))
        self._batch.load(f"lead:{lead}" for lead in every)
        for lead in every:
            yield f"lead:{lead}"
            for fact in self._facts_of(lead):
                if fact.body.get("deal"):
                    yield f"deal:{fact.body['deal']}"


def _as_deal(one: Asked, known: Mapping[str, Sibling | None]) -> Asked:
    """An inquiry that became a deal which counts nowhere (deleted, excluded) does not count."""
    sibling = known.get(one.deal) if one.deal else None
    is_out = bool(one.deal) and (sibling is None or sibling.wins is None)
    return one._replace(counts=False) if is_out else one
