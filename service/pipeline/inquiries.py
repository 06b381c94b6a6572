"""Inquiries that wait no longer: what we hold as new and the portal does not list any more.

Where a CRM lists only those that wait (amoCRM), a lost hook of acceptance or refusal would leave an
inquiry waiting for ever; the listing is compared with what we hold. An accepted one is a deal now,
and is told as that deal, so that the two are counted once.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from service.domain.config import Config
from service.domain.directory import StageKind
from service.domain.facts import Fact, Kind, Rank, Touched
from service.domain.instant import Instant
from service.domain.ports import CrmClient
from service.pipeline.office import Office
from service.store import facts as fact_store
from service.store.engine import reading
from service.store.reads.violations import unresolved_subjects


def gone(office: Office, account_id: str, client: CrmClient) -> list[Fact]:
    """Facts of each inquiry that has been worked on without our hearing of it.

    Raises:
        SourceUnavailable: the portal does not answer.
    """
    with reading(office.engine) as connection:
        held = unresolved_subjects(connection, account_id, "lead")
    if not held:
        return []
    pages = client.listed(Kind.LEAD)
    if pages is None:
        return []
    for page in pages:
        held.difference_update(page)
    if not held:
        return []
    with reading(office.engine) as connection:
        stored = fact_store.load(connection, account_id, [f"lead:{uid}" for uid in held])
        config = office.config(connection, account_id)
    known = {uid: _told(stored.get(f"lead:{uid}", {}).values()) for uid in sorted(held)}
    cards = sorted({body["card"] for body in known.values() if body.get("card")})
    images = client.fetch([Touched(Kind.DEAL, card) for card in cards]) if cards else []
    accepted = {fact.id: fact.at for fact in images if _is_deal(fact, config)}
    now = office.now()
    ended = [fact for uid, body in known.items() for fact in _end(uid, body, accepted, now)]
    return [fact for fact in images if fact.at] + ended  # at 0: it is not there


def _told(versions: Iterable[Fact]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for fact in sorted(versions, key=lambda fact: (fact.at, fact.rank)):
        told |= fact.body
    return told


def _is_deal(fact: Fact, config: Config) -> bool:
    if fact.kind is not Kind.DEAL or not fact.at or "stage" not in fact.body:
        return False
    kind = config.stage_kind(fact.body["pipeline"], fact.body["stage"])
    return kind is not StageKind.INCOMING


def _end(
    uid: str, body: Mapping[str, Any], accepted: Mapping[str, Instant], now: Instant
) -> list[Fact]:
    """It is a deal now; or it is not known what became of it."""
    card = body.get("card") or ""
    if card not in accepted:
        unknown = {"state": "processed", "closed_at": now}
        return [Fact(Kind.LEAD, uid, now, dict(unknown), Rank.FETCHED, now)]
    became = {"state": "accepted", "closed_at": now, "deal": card}
    born = {"inquiry": uid, "inquired_at": body.get("created_at")}
    return [
        Fact(Kind.LEAD, uid, now, dict(became), Rank.FETCHED, now),
        Fact(Kind.DEAL, card, accepted[card], dict(born), Rank.FETCHED, now),
    ]
