"""`dozor account check`: the whole way of a connection, walked once."""

from collections.abc import Iterator, Sequence
from typing import Any

from service import connect
from service.domain.config import Config
from service.domain.findings import Finding
from service.domain.instant import Instant
from service.domain.ports import CrmClient, HookState
from service.errors import SourceUnavailable
from service.http import limits_of
from service.pipeline.care import DAY, WARN_DAYS
from service.pipeline.office import Office
from service.store import budgets, rule_files
from service.store.accounts import AccountRow
from service.store.engine import reading

MOST_SKEW_SECONDS = 30


def check(office: Office, account_id: str) -> list[Finding]:
    """Address, token, rights, hook, history, a hook that arrived, clocks, limit, settings."""
    row = connect.known(office, account_id)
    with reading(office.engine) as connection:
        config = office.config(connection, account_id)
        files = rule_files.history(connection, account_id)
        known = budgets.budget(connection, budgets.portal_key(row.crm, row.base_url))
    url = office.hook_url(row)
    findings: list[Finding] = []
    if office.adapter(row.crm).has_rest:
        findings += _portal(office, row, config, url)
        limit = budgets.left(known, office.clock.timestamp(), *limits_of(row.crm))
        free = {"percent": round(limit.share * 100)}
        findings.append(Finding("limit", limit.paused_until is None, free))
    else:
        findings.append(Finding("pushed", True))
    heard = row.last_event_at is not None
    ago = max(0, office.now() - (row.last_event_at or 0))
    findings.append(Finding("heard", heard, {"seconds": ago, "url": url or "-"}))
    return [*findings, *_settings(office, config, files)]


def _portal(office: Office, row: AccountRow, config: Config, url: str) -> Iterator[Finding]:
    """What the portal itself says."""
    account: dict[str, Any] = {"account": row.account_id}
    by_oauth = "client_id" in office.secrets(row)
    client = office.client(row, config)
    try:
        told = client.check()
    except SourceUnavailable as error:
        yield Finding("authorised" if by_oauth else "portal", False, {"error": error, **account})
        return
    if by_oauth:
        yield Finding("authorised", True, {"error": "", **account})
    for finding in told:
        yield Finding(finding.check, finding.ok, {**finding.values, **account})
    yield from _token(client.access_ends(), office.now(), account)
    yield _hook(client, url, account)
    yield Finding("history", row.backfill_state == "done", account)
    skew = client.skew_seconds()
    if skew is not None and office.clock.speed == 1.0:
        yield Finding("clock", abs(skew) <= MOST_SKEW_SECONDS, {"seconds": round(skew)})


def _token(ends: Instant | None, now: Instant, account: dict[str, Any]) -> Iterator[Finding]:
    if ends is not None:
        days = max(0, (ends - now) // DAY)
        yield Finding("token_lasts", days >= WARN_DAYS, {"days": days, **account})


def _hook(client: CrmClient, url: str, account: dict[str, Any]) -> Finding:
    try:
        state = client.hook_state(url)
    except SourceUnavailable as error:
        return Finding("hook", False, {"state": error, "url": url, **account})
    if state is HookState.UNKNOWN:
        return Finding("hook_by_hand", True)
    return Finding("hook", state is HookState.ON, {"state": str(state), "url": url, **account})


def _settings(
    office: Office, config: Config, files: Sequence[rule_files.FileVersion]
) -> list[Finding]:
    """Names in settings and rules that mean nothing (any more); judging goes on without them."""
    if not (config.directory.pipelines or config.directory.sellers):
        return []
    problems = [*config.problems, *office.shelf.book(files).problems(config)]
    problems += office.shelf.faults(files)
    if not problems:
        return [Finding("settings", True, {"error": ""})]
    return [Finding("settings", False, {"error": sentence}) for sentence in problems]
