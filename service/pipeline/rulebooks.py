"""An account's own rule file: put in force, put back, as the command line asks for it."""

from service.errors import ConfigError
from service.pipeline.office import Office
from service.rules.schema import RuleModel
from service.store import rule_files
from service.store.audit import record
from service.store.engine import reading, transaction
from service.store.rule_files import NONE, FileVersion, NewFile


def put(office: Office, account_id: str, new: NewFile, name: str) -> int:
    """Put a file in force; its version. Everything is judged again in the background.

    Raises:
        ConfigError: no such account; a fault of the file with its place; settings that do not fit.
    """
    with transaction(office.engine) as connection:
        versions = rule_files.history(connection, account_id)
        config = office.config(connection, account_id)
        office.shelf.admit(new.text, name, versions, config)
        version = rule_files.save(connection, account_id, new, office.now())
        if not versions or version > versions[-1].version:
            after = {"version": version, "reason": new.reason}
            record(connection, new.author, "rules.saved", office.now(), account_id=account_id,
                   before={"version": version - 1}, after=after)  # fmt: skip
        return version


def check(office: Office, account_id: str, text: str, name: str) -> list[RuleModel]:
    """The rules of a file that could be put in force.

    Raises:
        ConfigError: as `put`.
    """
    with reading(office.engine) as connection:
        versions = rule_files.history(connection, account_id)
        return office.shelf.admit(text, name, versions, office.config(connection, account_id))


def rollback(office: Office, account_id: str, version: int, author: str, reason: str) -> int:
    """Put an older version in force again, as a new one.

    Raises:
        ConfigError: there is no such account or version.
    """
    chosen = {one.version: one for one in history(office, account_id)}
    if version not in chosen:
        known = ", ".join(str(number) for number in chosen) or "none"
        raise ConfigError(f"VERSION: {account_id} has no version {version}; there are: {known}")
    new = NewFile(chosen[version].text, author, reason or f"back to {version}")
    return put(office, account_id, new, f"version {version}")


def history(office: Office, account_id: str) -> list[FileVersion]:
    """All versions of an account's file, oldest first.

    Raises:
        ConfigError: there is no such account.
    """
    with reading(office.engine) as connection:
        office.config(connection, account_id)
        return rule_files.history(connection, account_id)


def in_force(office: Office, account_id: str) -> str:
    """The text of an account's file in force.

    Raises:
        ConfigError: there is no such account.
    """
    versions = history(office, account_id)
    return versions[-1].text if versions else NONE
