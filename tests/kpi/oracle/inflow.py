"""Section 2 of kpis.md, counted from the facts."""

from collections.abc import Iterator

from tests.kpi.oracle.facts import (
    DAY,
    LOST,
    SPAM,
    WON,
    Deal,
    Department,
    Lead,
    Row,
    Rows,
    after_working,
    working,
)

NORM = 30 * 60


def _of_deal(deal: Deal, value: int = 1, seller: str | None = None) -> Row:
    first = deal.pictures[0]
    who = first.seller if seller is None else seller
    return Row(deal.asked, value, who, first.stage, first.source, "", first.pipeline)


def _asking(told: Department) -> list[Deal]:
    """Deals that are inquiries: not those that a person made for a client who had one before.

    Nor a client's next form within 24 hours of another deal or inquiry of his in the pipeline.
    """
    return [
        d for d in told.deals if not (d.by_hand and d.has_elder) and not _again(d) and not d.again
    ]


def _again(deal: Deal) -> bool:
    return any(
        abs(deal.asked - one.born) < DAY and one.pictures[0].pipeline == deal.pictures[0].pipeline
        for one in deal.older
    )


def _of_lead(lead: Lead, value: int = 1) -> Row:
    return Row(lead.asked, value, lead.states[-1][2], "", lead.source, "", lead.pipeline)


def _alone(told: Department) -> list[Lead]:
    return [lead for lead in told.leads if not lead.accepted and not lead.again]


def inquiries(told: Department) -> list[Row]:
    return [_of_deal(d) for d in _asking(told)] + [_of_lead(lead) for lead in _alone(told)]


def inquiries_target(told: Department) -> list[Row]:
    rows = inquiries(told)
    for deal in _asking(told):
        out = False
        for picture in deal.pictures:
            now = picture.stage == LOST and picture.reason in SPAM
            if now != out:
                rows.append(_of_deal(deal, -1 if now else 1)._replace(at=picture.at))
            out = now
    for lead in _alone(told):
        rows += [_of_lead(lead, -1)._replace(at=at) for at, s, _, _ in lead.states
                 if s == "declined"]  # fmt: skip
    return rows


def target_cohort(told: Department) -> list[Row]:
    good = [d for d in _asking(told) if not (d.last.stage == LOST and d.last.reason in SPAM)]
    leads = [lead for lead in _alone(told) if lead.states[-1][1] != "declined"]
    return [_of_deal(d) for d in good] + [_of_lead(lead) for lead in leads]


def won(told: Department) -> list[Row]:
    return [_of_deal(d) for d in _asking(told) if d.last.stage == WON]


def dealt(told: Department) -> list[Row]:
    return [_of_deal(d) for d in _asking(told)]


def _mature(rows: list[Row], told: Department) -> list[Row]:
    return [row for row in rows if row.at <= told.now - 14 * DAY]


def old_enough(told: Department) -> list[Row]:
    return _mature(inquiries(told), told)


def qualified_at_all(told: Department) -> list[Row]:
    good = [
        deal
        for deal in _asking(told)
        if any(p.stage in {"20", "30", "50", WON} and p.at - deal.asked <= 14 * DAY
               for p in deal.pictures)
    ]  # fmt: skip
    return [_of_deal(d) for d in good]


def qualified(told: Department) -> list[Row]:
    return _mature(qualified_at_all(told), told)


def declined(told: Department) -> list[Row]:
    return [
        Row(at, 1, "12", "", lead.source, reason, lead.pipeline)
        for lead in told.leads
        for at, state, _, reason in lead.states
        if state == "declined"
    ]


def unprocessed(told: Department) -> list[Row]:
    return [_of_lead(lead) for lead in told.leads if lead.states[-1][1] in {"new", "in_work"}]


def _touch(deal: Deal) -> tuple[int, str] | None:
    """The first attempt or talk after the inquiry; `born` if it was born of an answered call."""
    if any(talk and at <= deal.asked <= end + 600 for at, end, talk, _, _ in deal.calls):
        return -1, "born"
    for at, _, talk, out, author in deal.calls:
        if at > deal.asked and (talk or out):
            return at, author
    return None


def _answers(told: Department) -> Iterator[tuple[Deal, int, str]]:
    for deal in _asking(told):
        touch = _touch(deal)
        if touch is not None and touch[1] != "born" and touch[0] <= told.now:
            yield deal, *touch


def first_response(told: Department) -> list[Row]:
    return [_of_deal(d, at - d.asked, who) for d, at, who in _answers(told)]


def first_response_wt(told: Department) -> list[Row]:
    return [_of_deal(d, working(d.asked, at), who) for d, at, who in _answers(told)]


def unanswered(told: Department) -> list[Row]:
    return [_of_deal(d) for d in _asking(told) if _touch(d) is None] + [
        _of_lead(lead) for lead in _alone(told)
    ]


def in_norm(told: Department) -> list[Row]:
    return [_of_deal(d) for d, at, _ in _answers(told) if at <= after_working(d.asked, NORM)]


def due(told: Department) -> list[Row]:
    rows = []
    answered = {deal.id for deal, _, _ in _answers(told)}
    for deal in _asking(told):
        if _touch(deal) == (-1, "born"):
            continue
        if deal.id in answered or after_working(deal.asked, NORM) <= told.now:
            rows.append(_of_deal(deal))
    late = [lead for lead in _alone(told) if after_working(lead.asked, NORM) <= told.now]
    return rows + [_of_lead(lead) for lead in late]


SUMS: dict[str, Rows] = {
    "inquiries": inquiries,
    "inquiries_target": inquiries_target,
    "inquiries_target_cohort": target_cohort,
    "inquiries_qualified": qualified_at_all,
    "inquiries_dealt": dealt,
    "inquiries_won": won,
    "response_in_norm": in_norm,
    "response_due": due,
    "inquiries_declined": declined,
    "inquiries_unanswered": unanswered,
}
RATIOS: dict[str, tuple[Rows, Rows]] = {
    "lead_quality": (qualified, old_enough),
    "lead_to_deal": (dealt, inquiries),
    "conversion_inquiry_sale": (won, target_cohort),
    "answered_in_norm": (in_norm, due),
}
LEVELS: dict[str, Rows] = {"inquiries_unprocessed": unprocessed}
PERCENTILES: dict[str, Rows] = {
    "first_response": first_response,
    "first_response_wt": first_response_wt,
}
