"""Connecting portals: what `dozor account`, `backfill`, `reconcile` do, without a terminal."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from service.domain import clientkeys
from service.domain.account import AccountDocument
from service.domain.named import check_nudges, parse_document
from service.domain.ports import HookState, Page
from service.domain.resolving import resolve
from service.errors import ConfigError, SourceUnavailable
from service.kpi import teammoves
from service.kpi.planwrite import before_settings
from service.pipeline import fetch, rejudge, sync
from service.pipeline.ahead import ahead
from service.pipeline.drain import store_facts
from service.pipeline.holds import held
from service.pipeline.office import Office
from service.secrets import new_client_key
from service.store import accounts, bulks, inbox
from service.store.accounts import AccountRow
from service.store.engine import reading, transaction

_SLUG = re.compile(r"[a-z0-9-]{1,32}")
_LATIN = dict(
    zip(
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
        (
            *("a", "b", "v", "g", "d", "e", "e", "zh", "z", "i", "y", "k", "l", "m", "n", "o"),
            *("p", "r", "s", "t", "u", "f", "h", "ts", "ch", "sh", "sch", "", "y", "", "e"),
            *("yu", "ya"),
        ),
        strict=True,
    )
)
MOST_NAME = 100


def slug(name: str) -> str:
    """The id made of a name: «Ромашка» -> romashka."""
    latin = "".join(_LATIN.get(letter, letter) for letter in name.lower())
    text = re.sub(r"[^a-z0-9]+", "-", latin).strip("-")[:32].strip("-")
    if not text:
        raise ConfigError(f"--id: cannot make an id of the name {name!r}; give one with --id")
    return text


def check_id(account_id: str) -> str:
    """The id itself.

    Raises:
        ConfigError: it has other characters than a-z 0-9 - or is too long.
    """
    if not _SLUG.fullmatch(account_id):
        raise ConfigError(f"--id: {account_id!r} must be 1-32 characters of a-z, 0-9 and -")
    return account_id


def add_account(
    office: Office,
    crm: str,
    name: str,
    account_id: str,
    base_url: str,
    secrets: dict[str, str],
    document: AccountDocument,
) -> str:
    """Connect a portal; returns the hook's address.

    Raises:
        ConfigError: names the option that cannot be used.
    """
    if not name.strip() or len(name) > MOST_NAME:
        raise ConfigError(f"--name: must have 1 to {MOST_NAME} characters")
    adapter = office.adapter(crm)
    base, clean = adapter.parse_connection(base_url, secrets)
    if not office.settings.allow_private_hosts and not base.startswith("https://"):
        raise ConfigError(f"--base-url: must begin with https://, not {base_url!r}")
    token = accounts.new_hook_token()
    clean["hook_token"] = token  # to subscribe again, and to be shown again
    clean[clientkeys.SECRET] = new_client_key()
    new = accounts.NewAccount(
        account_id=account_id,
        name=name,
        crm=crm,
        base_url=base,
        token_hash=accounts.hook_hash(token),
        sealed=office.box.seal(json.dumps(clean)),
        document=document,
    )
    with transaction(office.engine) as connection:
        before = accounts.account(connection, account_id)
        if before is not None and _half_done(before, new):
            _add_again(connection, _with_old_key(office, before, new), office.now())
        else:
            accounts.create(connection, new, "cli", office.now())
    return hook_url(office, crm, token)


def _half_done(before: AccountRow, new: accounts.NewAccount) -> bool:
    """The same portal, and no hook has ever come: adding it again completes the set-up."""
    same = (before.crm, before.base_url) == (new.crm, new.base_url)
    return same and before.last_event_at is None


def _with_old_key(
    office: Office, before: AccountRow, new: accounts.NewAccount
) -> accounts.NewAccount:
    """What was read of the portal already is hashed with the key it had."""
    kept = office.secrets(before).get(clientkeys.SECRET)
    if kept is None:
        return new
    given = json.loads(office.box.open(new.sealed)) | {clientkeys.SECRET: kept}
    return msgspec.structs.replace(new, sealed=office.box.seal(json.dumps(given)))


def _add_again(connection: Any, new: accounts.NewAccount, now: int) -> None:
    accounts.change(
        connection,
        new.account_id,
        name=new.name,
        hook_hash=new.token_hash,
        secrets=new.sealed,
        directory_wanted=True,
    )
    if new.document != AccountDocument():
        known = accounts.document(connection, new.account_id)
        given = new.document.model_dump(exclude_unset=True)
        accounts.save_settings(
            connection, new.account_id, known.model_copy(update=given), "cli", now
        )


def hook_url(office: Office, crm: str, token: str) -> str:
    """The address that the CRM has to call."""
    return f"{office.settings.outside}/hooks/{crm}/{token}"


def rotate_hook(office: Office, account_id: str) -> str:
    """A new hook token; the old address stops working within seconds."""
    row = known(office, account_id)
    token = accounts.new_hook_token()
    sealed = office.with_secrets(row, {"hook_token": token})
    with transaction(office.engine) as connection:
        accounts.change(connection, account_id, hook_hash=accounts.hook_hash(token), secrets=sealed)
    return hook_url(office, row.crm, token)


def known(office: Office, account_id: str) -> AccountRow:
    """The account.

    Raises:
        ConfigError: there is none; names the near ones.
    """
    with reading(office.engine) as connection:
        rows = {row.account_id: row for row in accounts.accounts(connection)}
    if account_id not in rows:
        ids = ", ".join(rows) or "none yet"
        raise ConfigError(f"ACCOUNT: there is no account {account_id[:64]!r}; there are: {ids}")
    return rows[account_id]


def change_token(office: Office, account_id: str, token: str) -> None:
    """Another token for the same portal; it is tried at once.

    Raises:
        ConfigError: it is no token, or the account is connected by OAuth.
    """
    row = known(office, account_id)
    secrets = office.secrets(row)
    if "client_id" in secrets:
        raise ConfigError(f"ACCOUNT: connected by OAuth; run: dozor account authorise {account_id}")
    _, clean = office.adapter(row.crm).parse_connection(row.base_url, {"token": token})
    with transaction(office.engine) as connection:
        accounts.change(
            connection, account_id, secrets=office.with_secrets(row, clean), status="active",
            error=None, directory_wanted=True, hook_checked_at=0,
        )  # fmt: skip


def read_directory(office: Office, account_id: str) -> str | None:
    """Read users, pipelines and fields; None, or one sentence why it did not work."""
    if not office.adapter(known(office, account_id).crm).has_rest:
        return None  # they come by hook
    try:
        fetch.read_directory(office, account_id)
    except SourceUnavailable as error:
        return str(error)
    return None


def subscribe(office: Office, account_id: str, url: str) -> str | None:
    """Register the hook through the CRM's API; None, or what to do by hand."""
    row = known(office, account_id)
    with reading(office.engine) as connection:
        config = office.config(connection, account_id)
    fault: str | None = None
    try:
        office.client(row, config).subscribe(url)
    except SourceUnavailable as error:
        fault = str(error)
    with transaction(office.engine) as connection:
        state = HookState.ON if fault is None else HookState(row.hook_state)
        accounts.change(connection, account_id, hook_wanted=True, hook_state=str(state))
    return fault


def give_token(office: Office, account_id: str, application_token: str) -> None:
    """Bitrix24: the token of the outgoing webhook; what was parked for want of it is replayed."""
    row = known(office, account_id)
    if not application_token.strip():
        raise ConfigError("TOKEN: must not be empty")
    sealed = office.with_secrets(row, {"application_token": application_token})
    with transaction(office.engine) as connection:
        accounts.change(connection, account_id, secrets=sealed)
        inbox.replay_reason(connection, account_id, "token_missing")


# --- reading history ------------------------------------------------------------------------------


def backfill(office: Office, account_id: str, since: int | None) -> Iterator[Page]:
    """Read all there is, page by page; each page is stored before it is yielded.

    Where it has come is kept with the page, so that a killed backfill goes on from there. Sellers'
    levels are judged once, at the end.

    Raises:
        SourceUnavailable: the portal does not answer; go on later.
    """
    row = office.keyed(known(office, account_id))
    if row.directory_wanted or row.directory_at is None:
        fetch.read_directory(office, account_id)
    row = known(office, account_id)
    with reading(office.engine) as connection:
        client = office.client(row, office.config(connection, account_id))
    goes_on = row.backfill_state == "running" and row.synced_at is not None
    began = row.synced_at if goes_on and row.synced_at is not None else office.now()
    with transaction(office.engine) as connection:
        accounts.change(connection, account_id, backfill_state="running", synced_at=began)
    page = Page([], None, 0)
    cursor = row.backfill_cursor if goes_on else None
    for page in ahead(client.backfill(since, cursor)):
        with held(office, account_id):
            store_facts(
                office,
                account_id,
                page.facts,
                lambda c, p=page: accounts.change(c, account_id, backfill_cursor=p.cursor),  # type: ignore[misc]
            )
        yield page
    marks = {name: mark or began for name, mark in page.marks.items()}
    with held(office, account_id):
        with transaction(office.engine) as connection:
            accounts.change(
                connection, account_id, backfill_state="done", backfill_cursor=None,
                changes_cursor={"marks": marks},
            )  # fmt: skip
            config = office.config(connection, account_id)
            bulks.rebuild(connection, account_id, config.document.bulk.limit)
        rejudge.judge_dirty(office, account_id)


def reconcile(office: Office, account_id: str) -> Iterator[Page]:
    """Read what changed since the last time; each page is stored before it is yielded."""
    known(office, account_id)
    yield from sync.reconcile(office, account_id)


def apply_document(office: Office, account_id: str, raw: Any, author: str) -> int:
    """Store a settings document (parsed YAML or JSON); its version.

    Raises:
        ConfigError: names the field.
    """
    known(office, account_id)
    document = parse_document(raw)
    if document.account not in (None, account_id):
        raise ConfigError(f"account: the file is for {document.account!r}, not {account_id!r}")
    with transaction(office.engine) as connection:
        before = teammoves.begin(connection, account_id, office.settings.lang)
        row = accounts.account(connection, account_id)
        if row is not None:
            _check_rules(office, connection, row, document)
            before_settings(connection, before, document, author, office.now())
        version = accounts.save_settings(connection, account_id, document, author, office.now())
        teammoves.follow(connection, before, author, office.now())
        return version


def assign_fields(office: Office, account_id: str, given: dict[str, str]) -> int:
    """Say which custom fields mean what; the version of the settings.

    Raises:
        ConfigError: a meaning or field that is not known; names the near ones.
    """
    with reading(office.engine) as connection:
        document = accounts.document(connection, account_id)
    raw = document.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return apply_document(
        office, account_id, {**raw, "fields": {**raw.get("fields", {}), **given}}, "cli"
    )


def _check_rules(
    office: Office, connection: Any, row: AccountRow, document: AccountDocument
) -> None:
    """Names, hours, rule parameters and stages are checked before anything is stored."""
    directory = accounts.directory(connection, row.account_id)
    config = resolve(row.account_id, row.crm, directory, document)
    config.check_hours()
    check_nudges(document, row.crm, office.adapter(row.crm).nudges)
    if directory.pipelines or directory.sellers:
        config.check()
    office.book_of(connection, row.account_id).check(config)
