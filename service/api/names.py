"""Ids and names as the API tells them: `<account>.<crm id>`, references expanded one level."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from service.api.deps import Call
from service.api.params import Filters, is_id, value_of
from service.domain.config import Config
from service.domain.instant import Instant
from service.domain.ports import Adapter
from service.domain.ports import Connection as Portal
from service.rules.book import RuleBook, Window
from service.rules.schema import RuleModel
from service.store import rule_files
from service.store.accounts import AccountRow, accounts, load_config, load_configs
from service.store.handles import Connection
from service.store.reads.conditions import Stay

MOST_CONFIGS = 2000


def full_id(account: str, crm_id: str | None) -> str | None:
    """`romashka.4815162`; None for none (`""` or None)."""
    return f"{account}.{crm_id}" if crm_id else None


def split_id(text: str) -> tuple[str, str] | None:
    """(account, CRM id) of an id; None: it has not the form of one."""
    account, dot, crm_id = text.partition(".")
    return (account, crm_id) if dot and account and crm_id and is_id(text) else None


def stage_full_id(account: str, pipeline: str, stage: str) -> str | None:
    """`romashka.31.142`; None for none."""
    return f"{account}.{pipeline}.{stage}" if pipeline and stage else None


def money(amount: int | None, currency: str) -> dict[str, Any] | None:
    """Money as an object; None stays None."""
    return None if amount is None else {"amount": amount, "currency": currency}


def visible_accounts(call: Call, connection: Connection) -> list[AccountRow]:
    """The accounts that exist for the caller, by id."""
    return [row for row in accounts(connection) if call.caller.sees(row.account_id)]


def visible_configs(
    call: Call, connection: Connection, chosen: Sequence[str] | None = None
) -> dict[str, Config]:
    """Settings and directory of the accounts that exist for the caller.

    Args:
        call: the request; its language is that of the texts.
        connection: the snapshot.
        chosen: only these; unknown and foreign ones are silently left out.
    """
    rows = visible_accounts(call, connection)
    return {
        row.account_id: _config(call, connection, row)
        for row in rows
        if chosen is None or row.account_id in chosen
    }


def _config(call: Call, connection: Connection, row: AccountRow) -> Config:
    """The configuration of one account; no query as long as its version stays."""
    known = call.services.configs
    key = (row.account_id, row.config_version, call.lang)
    if key not in known:
        if len(known) > MOST_CONFIGS:
            known.clear()
        known[key] = load_config(connection, row.account_id, call.lang)
    return known[key]


def book_of(call: Call, connection: Connection, row: AccountRow) -> RuleBook:
    """The rules in force for an account; no query as long as its version stays."""
    known = call.services.books
    key = (row.account_id, row.config_version)
    if key not in known:
        if len(known) > MOST_CONFIGS:
            known.clear()
        known[key] = call.services.shelf.book(rule_files.history(connection, row.account_id))
    return known[key]


def windows_of(call: Call, connection: Connection, account_id: str) -> list[Window]:
    """Stretches of time, each with the settings and rules in force in it, oldest first."""
    configs = load_configs(connection, account_id, call.lang)
    return call.services.shelf.windows(configs, rule_files.history(connection, account_id))


def chosen_configs(call: Call, connection: Connection, filters: Filters) -> dict[str, Config]:
    """`visible_configs` narrowed by the filters `account` and `account[ne]`."""
    found = visible_configs(call, connection, value_of(filters, "account"))
    refused = value_of(filters, "account", "ne") or ()
    return {account: config for account, config in found.items() if account not in refused}


@dataclass(frozen=True)
class Names:
    """References of one account's objects as the API shows them."""

    config: Config
    account: AccountRow
    book: RuleBook  # the rules in force for it
    adapter: Adapter | None = None

    @property
    def id(self) -> str:
        """The account's id."""
        return self.config.account_id

    def url(self, kind: str, crm_id: str) -> str | None:
        """The page of a subject in the CRM's web interface; None = it has none."""
        if not crm_id or self.adapter is None:
            return None
        return self.adapter.subject_url(self._portal, kind, crm_id)

    @cached_property
    def _portal(self) -> Portal:
        return Portal(
            self.id,
            self.account.base_url,
            str(self.config.timezone),
            self.config.currency,
            self.account.external_id,
            self.account.subdomain,
        )

    def seller(self, seller_id: str | None) -> dict[str, Any] | None:
        """`{"id", "name"}`; None for none."""
        if not seller_id:
            return None
        return {"id": full_id(self.id, seller_id), "name": self.config.seller_name(seller_id)}

    def team(self, seller_id: str | None, at: Instant) -> dict[str, Any] | None:
        """The team of a seller at an instant as `{"id", "name"}`; None for none."""
        team = self.config.team_of(seller_id, at) if seller_id else None
        return {"id": team.id, "name": team.name} if team else None

    def pipeline(self, pipeline_id: str) -> dict[str, Any] | None:
        """`{"id", "name"}`; None for none."""
        if not pipeline_id:
            return None
        found = self.config.directory.pipeline(pipeline_id)
        return {"id": full_id(self.id, pipeline_id), "name": found.name if found else None}

    def stage(self, pipeline_id: str, stage_id: str) -> dict[str, Any] | None:
        """`{"id", "name", "kind"}`; None for none."""
        if not (pipeline_id and stage_id):
            return None
        return {
            "id": stage_full_id(self.id, pipeline_id, stage_id),
            "name": self.config.stage_name(pipeline_id, stage_id),
            "kind": self.config.stage_kind(pipeline_id, stage_id).value,
        }

    def deal(self, deal_id: str, name: str | None) -> dict[str, Any] | None:
        """`{"id", "name", "url"}`; None for none."""
        if not deal_id:
            return None
        return {"id": full_id(self.id, deal_id), "name": name, "url": self.url("deal", deal_id)}


def visible_names(call: Call, connection: Connection) -> dict[str, Names]:
    """`Names` of every account that exists for the caller."""
    adapters = call.services.adapters
    return {
        row.account_id: Names(
            _config(call, connection, row),
            row,
            book_of(call, connection, row),
            adapters.get(row.crm),
        )
        for row in visible_accounts(call, connection)
    }


def rules_of(call: Call, names: Mapping[str, Names]) -> dict[str, RuleModel]:
    """All rules of these accounts by name, also those that are gone.

    Of one account as it has them; of several the installation's, then what single ones add.
    """
    books = {id(own.book): own.book for own in names.values()}
    ordered = list(books.values()) if len(names) == 1 else [call.book, *books.values()]
    found: dict[str, RuleModel] = {}
    for book in ordered:
        for name in book.names:
            if name not in found:
                found[name] = book.known(name)
    return found


def chosen(names: Mapping[str, Names], filters: Filters) -> dict[str, Names]:
    """Those that the filters `account` and `account[ne]` leave."""
    wanted, refused = value_of(filters, "account"), value_of(filters, "account", "ne") or ()
    return {
        account: found
        for account, found in names.items()
        if (wanted is None or account in wanted) and account not in refused
    }


def team_members(names: Mapping[str, Names], filters: Filters) -> dict[str, list[Stay]]:
    """Who is in a team when, by team id, over all these accounts; empty if nobody asks."""
    found: dict[str, list[Stay]] = {}
    asked = any(condition.field == "team" for condition in filters)
    for account, account_names in names.items() if asked else ():
        known = account_names.config.memberships
        for team in account_names.config.teams:
            found.setdefault(team, []).extend(Stay(account, *stay) for stay in known.stays(team))
    return found


def team_moves(names: Mapping[str, Names]) -> list[Instant]:
    """Instants at which anybody's team changes, over all these accounts, in order."""
    edges = (edge for own in names.values() for edge in own.config.memberships.all_edges)
    return sorted(set(edges))
