"""`dozor account show`: the settings in force, with every default and a comment per line."""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from service.domain.account import AccountDocument
from service.domain.config import DEFAULT_LIMIT, Config

_COMMENTS = {
    "account": "the account's id",
    "timezone": "default: the portal's, else Europe/Moscow",
    "currency": "default: the portal's, else RUB",
    "rates": "{USD: {2026-01-01: 91.5}}: its worth in the account's currency from that day on",
    "work": 'working hours; exceptions: {2026-12-31: "10:00-15:00", 2027-01-11: off}',
    "pipelines": "exclude: [...], or per pipeline: qualified_from, late_from, required, limits",
    "fields": "source, budget, loss_reason, close_date, paid: a field's title or id, or default",
    "teams": "title: [sellers], or {id, from, to} with days; default: the CRM's groups",
    "sellers": "per seller: limit, limits, newcomer_until, telegram, absent, week",
    "receipts_from": "won: amounts of won deals; payments: by `fields.paid`, else by invoices",
    "same_inquiry_hours": "a client's next form in one pipeline so soon is the same inquiry",
    "limits": "open_deals: how many open deals a seller should have at most",
    "team_totals": "title: open_deals and overdue_tasks of all its sellers together",
    "team_limits": "title: limits of each of its sellers, before those of the account",
    "newcomer_share": "per cent of the limits that a newcomer has until newcomer_until",
    "rules": "per rule: off, severity, params, for (also by stage)",
    "alerts": "receivers, quiet hours, whether resolutions are told",
    "task_minutes": "kind of tasks: minutes one takes where the CRM does not say; default: 15",
    "bulk": "more deals by one author within so many minutes: one bulk change, one message",
    "hygiene": "amount_classes: [low, high] in major units: for hygiene_index_weighted",
    "telephony": "whether calls are known; null = as found",
    "spam_reasons": "loss reasons that mean: not our client; null = guessed from their names",
}


def as_yaml(account_id: str, document: AccountDocument, config: Config) -> str:
    """The effective document as YAML."""
    plain: dict[str, Any] = document.model_dump(mode="json", by_alias=True)
    plain["account"] = account_id
    plain["timezone"] = str(config.timezone)
    plain["currency"] = config.currency
    plain["limits"] = {"open_deals": DEFAULT_LIMIT} | plain["limits"]
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 100
    lines = []
    for name, value in plain.items():
        stream = StringIO()
        yaml.dump({name: value}, stream)
        first, *rest = stream.getvalue().splitlines()
        comment = _COMMENTS.get(name)
        lines.append(f"{first}  # {comment}" if comment else first)
        lines += rest
    return "\n".join(lines) + "\n"
