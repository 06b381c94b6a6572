"""Where tasks, calls and notes belong: to a deal, inquiry, person, number, or to themselves."""

from collections.abc import Sequence

from service.domain.facts import Fact, Kind

STRANGER = "~"  # before the key of a number that is nobody's


def told_home(fact: Fact) -> str | None:
    """The timeline that a version says it belongs to; None = it does not say."""
    body = fact.body
    if body.get("deal"):
        return f"deal:{body['deal']}"
    if body.get("lead"):
        return f"lead:{body['lead']}"
    if body.get("contact") and fact.kind is not Kind.TASK:
        return f"contact:{body['contact']}"
    if body.get("client") and fact.kind is Kind.CALL:
        return f"contact:{STRANGER}{body['client']}"
    if "deal" in body or "contact" in body:
        return f"{fact.kind}:{fact.id}"
    return None


def newest_home(versions: Sequence[Fact]) -> str | None:
    """The home by the newest version that tells one; a deal outranks a person at one instant."""
    best: tuple[tuple[int, int, bool, str], str] | None = None
    for fact in versions:
        home = told_home(fact)
        if home is None:
            continue
        order = (fact.at, int(fact.rank), home.startswith("deal:"), home)
        if best is None or order > best[0]:
            best = (order, home)
    return best[1] if best else None
