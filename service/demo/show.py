"""The live table: what the head of sales would look at, every second."""

import time
from collections import Counter
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from service.demo.stage import ACCOUNTS, NAMES, Stage
from service.errors import ConfigError

REFRESH_SECONDS = 1.0
LAST_ALERTS = 6


def watch(stage: Stage, seconds: float | None) -> None:
    """Show until Ctrl-C, or for some seconds."""
    console = Console()
    end = None if seconds is None else time.monotonic() + seconds
    before = (time.monotonic(), 0)
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while end is None or time.monotonic() < end:
            hooks = sum(_answered(stage, account) for account in ACCOUNTS)
            now = time.monotonic()
            rate = (hooks - before[1]) / max(now - before[0], 0.001) if before[1] else 0.0
            before = (now, hooks)
            try:
                live.update(_picture(stage, hooks, rate), refresh=True)
            except ConfigError as error:
                live.update(Panel(str(error)), refresh=True)
            time.sleep(REFRESH_SECONDS)


def _answered(stage: Stage, account: str) -> int:
    found = stage.portal(account, "stats")["deliveries"]
    return int(found.get("answered", 0))


def _picture(stage: Stage, hooks: int, rate: float) -> Group:
    now = stage.clock.now()
    head = (
        f"[bold]Dozor[/] {now:%d.%m.%Y %H:%M} UTC, {stage.speed:g}x · "
        f"{hooks} hooks, {rate:.0f}/s · {len(stage.telegram.messages)} messages · "
        f"{len(stage.receiver.events)} events"
    )
    address = (
        f"curl -H 'Authorization: Bearer {stage.key}' \\\n  '{stage.url}/v1/violations?limit=5'\n"
        f"portals: {', '.join(stage.portals.values())}"
    )
    return Group(head, _violations(stage), _workload(stage), _plan(stage), _alerts(stage), address)


def _violations(stage: Stage) -> Table:
    rows = stage.get("/v1/violations/summary", by="rule,seller")["data"]
    sellers = Counter[str]()
    for row in rows:
        sellers[row["seller_name"] or "—"] += row["count"]
    names = [name for name, _ in sellers.most_common(8)]
    table = Table("Нарушения", *names, "всего", title="Нарушения по правилам и продавцам")
    rules: dict[str, Counter[str]] = {}
    for row in rows:
        rules.setdefault(row["rule"], Counter())[row["seller_name"] or "—"] += row["count"]
    for rule, counts in sorted(rules.items(), key=lambda item: -item[1].total()):
        cells = [str(counts[name] or "") for name in names]
        table.add_row(rule, *cells, str(counts.total()))
    return table


def _workload(stage: Stage) -> Table:
    rows = stage.get("/v1/workload")["data"]
    rows = sorted(rows, key=lambda row: -(row["share"] or 0))[:6]
    table = Table("Продавец", "сделок", "норма", "", "просрочено задач", title="Загрузка")
    for row in rows:
        mark = "[red]перегруз[/]" if row["status"] == "over" else row["status"]
        cells = (row["open_deals"], row["limit"], mark, row["overdue_tasks"])
        table.add_row(row["seller"]["name"], *(str(cell) for cell in cells))
    return table


def _plan(stage: Stage) -> Table:
    found = stage.get("/v1/plan-fact", period="2026-03", metrics="deals_won,receipts,calls")
    table = Table("Счёт", "показатель", "план", "факт", "%", "темп", title="План-факт марта")
    for row in found["data"]:
        table.add_row(NAMES[row["account"]], row["metric"], *_cells(row))
    return table


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str]:
    scale = 100 if row["metric"] == "receipts" else 1
    percent = "" if row["percent"] is None else f"{row['percent']:.0%}"
    plan = "" if row["plan"] is None else f"{row['plan'] / scale:,.0f}".replace(",", " ")
    fact = f"{(row['fact'] or 0) / scale:,.0f}".replace(",", " ")
    return plan, fact, percent, row["status"]


def _alerts(stage: Stage) -> Panel:
    texts = [text.splitlines()[0] for text in stage.telegram.messages[-LAST_ALERTS:]]
    return Panel("\n".join(texts) or "—", title="Последние сообщения в Telegram")
