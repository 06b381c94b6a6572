"""Why a deal is in violation, was or will be; and which rules look at it and are content."""

from dataclasses import dataclass

from service.domain.config import Config
from service.errors import ConfigError
from service.pipeline import apply
from service.pipeline.derive import violation_row
from service.pipeline.office import Office
from service.rules.book import RuleBook
from service.rules.explain import story
from service.rules.judge import Failure, judge
from service.rules.texts import Names, render_title
from service.store import accounts
from service.store.derived import Row
from service.store.engine import reading


@dataclass(frozen=True, slots=True)
class Told:
    """One violation as a story. `status`: open, upcoming or resolved."""

    status: str
    row: Row
    lines: list[str]


@dataclass(frozen=True, slots=True)
class Explained:
    """All of a deal's violations, the rules that it keeps, and those that have no answer for it."""

    deal: str
    name: str
    told: list[Told]
    kept: list[str]
    failures: list[Failure]


def explain(office: Office, account_id: str, deal: str, lang: str) -> Explained:
    """Judge a deal's stored facts now and tell the story of each verdict.

    Raises:
        ConfigError: there is no such account or deal.
    """
    now = office.now()
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        if row is None:
            raise ConfigError(f"--account: there is no account {account_id!r}")
        config = office.config(connection, account_id)
        windows = office.windows(connection, row)
        book = office.book_of(connection, account_id)
        (found,) = apply.stories(connection, account_id, [f"deal:{deal}"], windows)
    if not found.deal:
        raise ConfigError(f"DEAL: {account_id} knows no deal {deal!r}")
    name = found.deal[-1].name
    violations, failures = judge(found, windows)
    told = []
    for one in sorted(violations, key=lambda v: v.breach_at):
        values = violation_row(config, found.key, one)
        names = Names(name, str(one.values.get("text", {}).get("name") or name))
        model = book.known(one.rule)
        title = render_title(model, values, names, config, now, lang)
        lines = story(values, model, title, config, now, lang)
        told.append(Told(_status(values, now), values, lines))
    others = {*(one.row["rule"] for one in told), *(failure.rule for failure in failures)}
    return Explained(deal, name, told, _kept(book, config, others), failures)


def _status(row: Row, now: int) -> str:
    if row["breach_at"] > now:
        return "upcoming"
    return "open" if row["resolved_at"] is None or row["resolved_at"] > now else "resolved"


def _kept(book: RuleBook, config: Config, others: set[str]) -> list[str]:
    """Rules in force on deals, tasks and calls but for those that are broken or have no answer."""
    on = {"deal", "task", "call"}
    rules = [rule for rule in book.in_force(config) if rule.model.on in on]
    return sorted(rule.id for rule in rules if rule.id not in others)
