"""`dozor account history|rollback`: who changed an account's settings, and the way back."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from service import connect
from service.cli import base
from service.cli.access import Account, Json
from service.domain.instant import iso, to_datetime
from service.errors import ConfigError
from service.store import accounts as store
from service.store.engine import reading

_NONE = "-"


def history(account: Account, as_json: Json = False) -> None:
    """All versions of an account's settings: when, by whom, and what each changed."""
    with base.office() as office:
        row = connect.known(office, account)
        with reading(office.engine) as connection:
            versions = store.settings_history(connection, account)
            zone = office.config(connection, account).timezone
    judging = row.judged_version < row.config_version
    told = []
    before: dict[str, Any] = {}
    for version in versions:
        changes = list(differences(before, version["document"]))
        told.append({
            "version": version["version"], "at": iso(version["at"]), "author": version["author"],
            "changes": [{"path": p, "from": a, "to": b} for p, a, b in changes],
        })  # fmt: skip
        before = version["document"]
    if as_json:
        base.show_json({"account": account, "judging": judging, "versions": told})
        return
    for version, one in zip(versions, told, strict=True):
        when = to_datetime(version["at"]).astimezone(zone)
        base.out.print(
            f"{version['version']}  {when:%d.%m.%Y %H:%M}  {version['author']}", markup=False
        )
        for change in one["changes"]:
            base.out.print(
                f"    {change['path']}: {_short(change['from'])} -> {_short(change['to'])}",
                markup=False, highlight=False,
            )  # fmt: skip
    if judging:
        base.out.print("The newest version is being judged in the background.")


def rollback(
    account: Account,
    version: Annotated[int, typer.Argument(help="from `dozor account history`")],
    as_json: Json = False,
) -> None:
    """Put an earlier version of the settings in force again, as a new one; nothing is lost."""
    with base.office() as office:
        connect.known(office, account)
        with reading(office.engine) as connection:
            versions = {v["version"]: v for v in store.settings_history(connection, account)}
        if version not in versions:
            known = ", ".join(str(number) for number in versions)
            raise ConfigError(f"VERSION: {account} has no version {version}; there are {known}")
        new = connect.apply_document(
            office, account, versions[version]["document"], f"cli, back to {version}"
        )
    if as_json:
        base.show_json({"id": account, "version": new})
    else:
        base.out.print(f"{account}: version {new} is in force; it says what {version} said.")


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(path, before, after) of everything that two documents say differently."""
    kinds = (dict, type(None))
    if isinstance(old, kinds) and isinstance(new, kinds):
        old, new = old or {}, new or {}
        for name in sorted({*old, *new}, key=str):
            inner = f"{path}.{name}" if path else str(name)
            yield from differences(old.get(name), new.get(name), inner)
    elif old != new and not (_is_nothing(old) and _is_nothing(new)):
        yield path, old, new


def _is_nothing(value: Any) -> bool:
    return value is None or value in ({}, [], "")


def _short(value: Any) -> str:
    text = _NONE if _is_nothing(value) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
