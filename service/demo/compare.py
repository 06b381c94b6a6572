"""Dozor's answers against the portals' own bookkeeping; each difference is printed."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from service.demo.stage import ACCOUNTS, Stage

METRICS = (
    "inquiries", "deals_created", "deals_won", "deals_lost", "receipts", "calls", "talk_seconds",
    "tasks_set", "tasks_done", "tasks_due", "tasks_due_done", "messages_in", "messages_out",
)  # fmt: skip
LEVELS = ("deals_open", "tasks_overdue")
SHORTEST_SECONDS = 1800  # of the department's time: shorter violations may come and go untold
SETTLE_SECONDS = 40
FIRST_DAY = date(2026, 3, 4)
LISTED = 15


@dataclass
class Line:
    """One comparison."""

    account: str
    what: str
    dozor: int
    truth: int
    differences: list[str]


def compare(stage: Stage) -> int:
    """Compare, print, and say whether all is equal (exit code)."""
    console = Console()
    stop = stage.clock.now().replace(microsecond=0)
    for account in ACCOUNTS:
        stage.stop_living(account, stop)
    _settle(stage, stop)
    if any(stage.portal(account, "stats")["deliveries"]["failed"] for account in ACCOUNTS):
        _make_good(stage, stop)
    lines = [line for account in ACCOUNTS for line in _lines(stage, account, stop)]
    table = Table("Счёт", "что", "Dozor", "учёт отдела", "", title="Сверка")
    for line in lines:
        mark = "[green]=[/]" if not line.differences else f"[red]{len(line.differences)} ≠[/]"
        table.add_row(line.account, line.what, str(line.dozor), str(line.truth), mark)
    console.print(table)
    wrong = [line for line in lines if line.differences]
    for line in wrong:
        console.print(f"[bold]{line.account}, {line.what}[/]:")
        for text in line.differences[:LISTED]:
            console.print(f"  {text}", markup=False, highlight=False)
    console.print("Everything is equal." if not wrong else f"{len(wrong)} comparisons differ.")
    return 1 if wrong else 0


def _make_good(stage: Stage, stop: datetime) -> None:
    """On a busy machine hooks are answered too late and switched off: read what they would tell."""
    for account in ACCOUNTS:
        stage.command("reconcile", account, "--json")
    _settle(stage, stop)


def _settle(stage: Stage, stop: datetime) -> None:
    """Wait until everything that was sent before `stop` has been worked on and told."""
    end = time.monotonic() + SETTLE_SECONDS
    quiet = 0
    seen = -1
    while time.monotonic() < end and quiet < 4:
        pending = sum(stage.get(f"/v1/accounts/{account}")["pending"] for account in ACCOUNTS)
        waiting = sum(sum(_open_deliveries(stage.portal(account, "stats"))) for account in ACCOUNTS)
        told = sum(len(_told(stage, account, stop)) for account in ACCOUNTS)
        quiet = quiet + 1 if pending == 0 and waiting == 0 and told == seen else 0
        seen = told
        time.sleep(0.5)


def _open_deliveries(stats: dict[str, Any]) -> Iterator[int]:
    found = stats["deliveries"]
    yield int(found["pending"])


def _lines(stage: Stage, account: str, stop: datetime) -> Iterator[Line]:
    instants = [stop - timedelta(days=days, hours=hours) for days, hours in _BACK]
    days = [FIRST_DAY + timedelta(days=n) for n in range((stop.date() - FIRST_DAY).days + 1)]
    ends = {day: min(_day_end(day), stop) for day in days}
    told = stage.portal(
        account, "truth", until=_text(stop), at=",".join(_text(at) for at in ends.values())
    )
    for at in instants:
        yield _violations(stage, account, told, at)
    yield _workload(stage, account, told, stop, ends[days[-1]])
    yield from _figures(stage, account, told, days, ends, stop)
    yield from _alerts(stage, account, told, stop)


_BACK = ((0, 0), (0, 1), (0, 3), (1, 0), (3, 2), (5, 0), (8, 1))


def _violations(stage: Stage, account: str, told: dict[str, Any], at: datetime) -> Line:
    text = _text(at)
    truth = {
        (v["rule"], f"{account}.{v['subject']}", v["breach_at"])
        for v in told["violations"]
        if v["breach_at"] <= text and (v["resolved_at"] is None or text < v["resolved_at"])
    }
    found = {
        (v["rule"]["id"], v["subject"]["id"], v["breach_at"])
        for v in _all(stage, "/v1/violations", account=account, as_of=text, status="open")
        if v["rule"]["id"] in told["rules"]
    }
    return Line(account, f"нарушения на {text}", len(found), len(truth), _differ(found, truth))


def _all(stage: Stage, path: str, **params: Any) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        page = stage.get(path, limit=1000, **params, **cursor)
        yield from page["data"]
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


def _differ(found: set[Any], truth: set[Any]) -> list[str]:
    extra = [f"only Dozor: {item}" for item in sorted(found - truth, key=str)]
    return extra + [f"only the department: {item}" for item in sorted(truth - found, key=str)]


def _workload(
    stage: Stage, account: str, told: dict[str, Any], stop: datetime, last: datetime
) -> Line:
    rows = stage.get("/v1/workload", account=account, as_of=_text(stop))["data"]
    found = {(r["seller"]["id"], r["open_deals"]) for r in rows if r["open_deals"]}
    truth = {
        (f"{account}.{cell['seller']}", cell["value"])
        for cell in told["levels"][_text(last)]
        if cell["metric"] == "deals_open"
    }
    what = f"загрузка на {_text(stop)}"
    return Line(account, what, len(found), len(truth), _differ(found, truth))


def _figures(
    stage: Stage,
    account: str,
    told: dict[str, Any],
    days: list[date],
    ends: dict[date, datetime],
    stop: datetime,
) -> Iterator[Line]:
    answer = stage.get(
        "/v1/kpis/query",
        metrics=",".join(METRICS + LEVELS),
        dimensions="seller",
        grain="day",
        account=account,
        **{"from": days[0].isoformat(), "to": days[-1].isoformat()},
        as_of=_text(stop),
    )
    truth: dict[str, set[Any]] = {metric: set() for metric in METRICS + LEVELS}
    for day in days:
        cells = told["days"].get(day.isoformat(), [])
        cells += [c for c in told["levels"][_text(ends[day])] if c["metric"] in LEVELS]
        for cell in cells:
            if cell["metric"] in truth:
                seller = f"{account}.{cell['seller']}" if cell["seller"] else None
                truth[cell["metric"]].add((day.isoformat(), seller, cell["value"]))
    for metric in METRICS + LEVELS:
        found = {
            (row["period"], row["seller"], row[metric]) for row in answer["data"] if row[metric]
        }
        differences = _differ(found, truth[metric])
        yield Line(account, f"{metric} по дням", len(found), len(truth[metric]), differences)


def _alerts(stage: Stage, account: str, told: dict[str, Any], stop: datetime) -> Iterator[Line]:
    """Every breach that began while Dozor watched and lasted was told; nothing else was."""
    key_of = {
        (v["rule"], f"{account}.{v['subject']}", v["breach_at"]): v for v in told["violations"]
    }
    deals = {k: d for k, d in _told(stage, account, stop).items() if k[0] in told["rules"]}
    found = set(deals)
    since = _text(stage.connected[account])
    latest = _text(stop - timedelta(seconds=SHORTEST_SECONDS))
    due = {key for key, v in key_of.items() if since < v["breach_at"] <= latest and _lasts(v, stop)}
    missing = [f"not told: {key}" for key in sorted(due - found)]
    yield Line(account, "оповещения, которые должны уйти", len(due & found), len(due), missing)
    news = _news(stage, account)
    doubtful = sorted(found - set(key_of))
    wrong = [
        f"told, but not so: {key}"
        for key in doubtful
        if not _was_under_way(key, news.get(key[1], []) + news.get(deals[key], []))
    ]
    right = len(found) - len(wrong)
    yield Line(account, "оповещения, которые ушли верно", len(found), right, wrong)


def _told(stage: Stage, account: str, stop: datetime) -> dict[tuple[str, str, str], str]:
    """What Dozor told of breaches before `stop`: rule, subject, breach -> its deal ("": none)."""
    data = [e["data"] for e in stage.receiver.events if e["type"] == "violation.opened"]
    told = [d["violation"] for d in data if d["account"] == account]
    return {
        (v["rule"]["id"], v["subject"]["id"], v["breach_at"]): (v["deal"] or {}).get("id", "")
        for v in told
        if v["breach_at"] <= _text(stop)
    }


def _news(stage: Stage, account: str) -> dict[str, list[datetime]]:
    """When something about a subject (or the deal that it belongs to) became known to the CRM."""
    found: dict[str, list[datetime]] = {}
    since = 0
    while True:
        page = stage.portal(account, "journal", since=since)
        for change in page["changes"]:
            image = change["after"] or change["before"]
            at = datetime.fromisoformat(change["at"])
            kind = {"task": "t", "call": "c"}.get(change["kind"], "")
            for name in {f"{kind}{image.get('id')}", image.get("id"), image.get("deal_id")}:
                found.setdefault(f"{account}.{name}", []).append(at)
        if page["next"] == since:
            return found
        since = page["next"]


def _was_under_way(key: tuple[str, str, str], news: list[datetime]) -> bool:
    """Whether what disproves a told violation reached Dozor only after it had been told.

    A call is written down at its end, and a hook takes its real time while the department's runs
    fast: what came within a quarter of an hour of the breach could not be known in time.
    """
    breach = datetime.fromisoformat(key[2])
    window = timedelta(minutes=15)
    return any(abs(at - breach) <= window for at in news)


def _lasts(violation: dict[str, Any], stop: datetime) -> bool:
    begin = datetime.fromisoformat(violation["breach_at"])
    text = violation["resolved_at"]
    end = stop if text is None else datetime.fromisoformat(text)
    return (end - begin).total_seconds() > SHORTEST_SECONDS


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _day_end(day: date) -> datetime:
    """The last second of a Moscow day."""
    return datetime(day.year, day.month, day.day, 20, 59, 59, tzinfo=UTC)
