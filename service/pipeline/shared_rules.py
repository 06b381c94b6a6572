"""The file behind DOZOR_RULES_FILE: a change of it is a version in each account's history.

It is looked at when a process starts. The rules that it changed are judged anew in the background,
as after a change of an account's own file; what they find in the past is told in one digest.
"""

from collections.abc import Mapping

from service.errors import ConfigError
from service.files import read_text
from service.pipeline.office import Office
from service.rules.loading import builtin_rules, read_rules
from service.rules.schema import RuleModel
from service.store import accounts, rule_files
from service.store.audit import record
from service.store.engine import transaction
from service.store.rule_files import NONE, NewFile

AUTHOR = "file"


def note_change(office: Office) -> list[str]:
    """Record what the installation's file says otherwise than when last looked; the rules' names.

    Several processes may start at a time: the first one records it. Before anybody has looked
    there was no file.

    Raises:
        ConfigError: the file cannot be read.
    """
    path = office.settings.rules_file
    text = "" if path is None else read_text(path, "DOZOR_RULES_FILE")
    with transaction(office.engine) as connection:
        known = rule_files.shared_text(connection)
        if known == text:
            return []
        rule_files.keep_shared(connection, text)
        changed = _changed(_said(known), _said(text))
        if not changed:
            return []
        reason = "DOZOR_RULES_FILE" if path is None else f"DOZOR_RULES_FILE: {path.name}"
        for row in accounts.accounts(connection):
            versions = rule_files.history(connection, row.account_id)
            own = versions[-1].text if versions else NONE
            new = NewFile(own, AUTHOR, reason, shared=changed)
            version = rule_files.save(connection, row.account_id, new, office.now())
            record(
                connection, AUTHOR, "rules.saved", office.now(), account_id=row.account_id,
                before={"version": version - 1}, after={"version": version, "changed": changed},
            )  # fmt: skip
    return changed


def _said(text: str) -> dict[str, RuleModel]:
    """The rules that hold with such a file; what of it cannot be read (any more) is left out."""
    found = {model.id: model for model in builtin_rules()}
    try:
        return found | {model.id: model for model in read_rules(text or NONE, "file").models}
    except ConfigError:
        return found


def _changed(before: Mapping[str, RuleModel], after: Mapping[str, RuleModel]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
