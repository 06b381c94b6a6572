"""Inquiries that wait no longer: what we hold as new and the portal does not list any more.

Where a CRM lists only those that wait (amoCRM), a lost hook of acceptance or refusal would leave an
inquiry waiting for ever; the listing is compared with what we hold.
"""

from service.domain.facts import Fact, Kind, Rank
from service.domain.ports import CrmClient
from service.pipeline.office import Office
from service.store.engine import reading
from service.store.reads.violations import unresolved_subjects


def gone(office: Office, account_id: str, client: CrmClient) -> list[Fact]:
    """A fact for each inquiry that has been worked on without our hearing of it.

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
    now = office.now()
    body = {"state": "processed", "closed_at": now}
    return [Fact(Kind.LEAD, uid, now, dict(body), Rank.FETCHED, now) for uid in sorted(held)]
