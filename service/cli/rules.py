"""`dozor rules list|check|test|schema|diff|try|explain`; of the installation or of an account."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from service import connect
from service.cli import base, rule_files
from service.domain.account import RuleSettings
from service.domain.config import Config
from service.domain.instant import iso, to_datetime
from service.domain.violation import Found
from service.errors import ConfigError
from service.files import read_text
from service.pipeline import explaining, proposing, rulebooks, trial
from service.rules import paper
from service.rules.loading import builtin_rules, parse_rules, read_rules
from service.rules.schema import Change, RuleModel, changed, rule_schema
from service.rules.testing import run_tests
from service.rules.words import rule_name, span_text
from service.store.engine import reading

app = typer.Typer(help="Rules: look at them, check and test a file.", no_args_is_help=True)
rule_files.register(app)
Json = Annotated[bool, typer.Option("--json", help="data for programs")]
File = Annotated[Path, typer.Argument(help="a rule file (YAML)")]


Whose = Annotated[str, typer.Option("--account", help="as this account has them")]


def _read(path: Path) -> list[RuleModel]:
    return parse_rules(read_text(path, "FILE"), str(path))


def _known(account: str) -> list[RuleModel]:
    """The rules in force for an account; without one the built-in ones."""
    if not account:
        return builtin_rules()
    with base.office() as office:
        connect.known(office, account)
        with reading(office.engine) as connection:
            return list(office.book_of(connection, account).models.values())


@app.command("list")
def list_rules(
    account: Whose = "",
    lang: Annotated[str, typer.Option(help="ru or en; default: DOZOR_LANG")] = "",
    as_json: Json = False,
    markdown: Annotated[str, typer.Option(help="as a Markdown table: ru or en")] = "",
) -> None:
    """The built-in rules, or those in force for an account."""
    models = _known(account)
    if markdown:
        if markdown not in {"ru", "en"}:
            raise ConfigError(f"--markdown: {markdown!r} is none of ru, en")
        print(paper.table(models, markdown))
        return
    if as_json:
        base.show_json(
            [m.model_dump(mode="json", by_alias=True, exclude={"tests"}) for m in models]
        )
        return
    spoken = base.spoken(lang)
    states, own = _settings(account, models)
    rows = [
        (m.id, states[m.id], m.on, m.form, _severity(m, own.get(m.id)),
         span_text(m, own.get(m.id)), rule_name(m, m.id, spoken))
        for m in models
    ]  # fmt: skip
    base.show_table(("id", "state", "on", "form", "severity", "for", "name"), rows)


def _settings(
    account: str, models: Sequence[RuleModel]
) -> tuple[dict[str, str], Mapping[str, RuleSettings]]:
    """Which rules are on (off, or without facts), and what an account's settings change in them."""
    if not account:
        return {m.id: "on" if m.enabled else "off" for m in models}, {}
    with base.office() as office, reading(office.engine) as connection:
        config = office.config(connection, account)
        book = office.book_of(connection, account)
        return {m.id: book.is_on(m.id, config) for m in models}, config.document.rules


def _severity(model: RuleModel, own: RuleSettings | None) -> str:
    return (own.severity if own else None) or model.severity


@app.command()
def check(file: File, account: Whose = "", as_json: Json = False) -> None:
    """Load and type-check a file; every fault with line and column. With --account: for it."""
    text = read_text(file, "FILE")
    models, faults = _checked(text, str(file), account)
    if as_json:
        told = {"valid": True, "rules": [m.id for m in models]}
        wrong = {"valid": False, "error": "".join(faults[:1]), "errors": faults}
        base.show_json(wrong if faults else told)
    else:
        for fault in faults:
            base.err.print(fault, markup=False)
    if faults:
        raise typer.Exit(1)
    if not as_json:
        base.out.print(f"{file}: {len(models)} rules, all well.")


def _checked(text: str, name: str, account: str) -> tuple[list[RuleModel], list[str]]:
    """The rules of a file, or its faults."""
    try:
        read = read_rules(text, name)
        faults = read.faults(name)
        if account and not faults:
            with base.office() as office:
                connect.known(office, account)
                rulebooks.check(office, account, text, name)
    except ConfigError as error:
        if str(error).startswith("ACCOUNT"):
            raise
        return [], [str(error)]
    return read.models, faults


@app.command()
def test(
    file: Annotated[Path | None, typer.Argument(help="a rule file; none = the built-in")] = None,
    account: Whose = "",
    as_json: Json = False,
) -> None:
    """Run the tests inside a rule file, or those of the rules in force for an account."""
    if file and account:
        _, faults = _checked(read_text(file, "FILE"), str(file), account)
        if faults:
            raise ConfigError(faults[0])
    outcomes = run_tests(_read(file) if file else _known(account))
    failed = [outcome for outcome in outcomes if outcome.problem]
    if as_json:
        base.show_json(
            [{"rule": o.rule, "test": o.test, "ok": not o.problem, "problem": o.problem}
             for o in outcomes]
        )  # fmt: skip
    else:
        for outcome in failed:
            base.err.print(f"{outcome.rule}: {outcome.test}: {outcome.problem}", markup=False)
        base.out.print(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed")
        if not outcomes:
            base.err.print("There are no tests in the file; add `tests:` to its rules.")
    if failed or not outcomes:
        raise typer.Exit(1)


@app.command("try")
def try_file(
    file: File,
    account: Annotated[str, typer.Option(help="whose stored facts are judged")],
    most: Annotated[int, typer.Option(min=0, help="how many of each are listed")] = 20,
    as_json: Json = False,
) -> None:
    """What would open and close under a changed file, and for whom; nobody is alerted."""
    models = _read(file)
    with base.office() as office:
        found = trial.try_rules(office, account, office.shelf.draft(models))
        with reading(office.engine) as connection:
            config = office.config(connection, account)
    if as_json:
        base.show_json(trial.as_data(found, config))
    else:
        _show_trial(found, config, most)


@app.command()
def propose(
    account: Annotated[str, typer.Option(help="whose own pace is looked at")],
    rules: Annotated[list[str] | None, typer.Argument(metavar="[RULE]...")] = None,
    as_json: Json = False,
) -> None:
    """Norms from how long things took in the department lately; nothing is changed."""
    with base.office() as office:
        found = proposing.proposed(office, account, rules or [])
    if as_json:
        base.show_json(found)
        return
    rows = [
        (f"{one['rule']}{' · ' + part['name'] if part is not one else ''}", part["current"],
         part["proposed"] or "-", part["samples"], part["running"])
        for one in found
        for part in (one, *one["by"])
    ]  # fmt: skip
    base.show_table(("rule", "norm", "proposed", "waits", "go on"), rows)
    base.out.print(
        "Proposed: kept by the share of waits that the rule says; set what you agree to."
    )


@app.command()
def explain(
    deal: Annotated[str, typer.Argument(metavar="DEAL", help="a deal's id in the CRM")],
    account: Annotated[str, typer.Option(help="whose deal it is")],
    lang: Annotated[str, typer.Option(help="ru or en; default: DOZOR_LANG")] = "",
    as_json: Json = False,
) -> None:
    """Why a deal is in violation, was or will be: the story of each verdict."""
    spoken = base.spoken(lang)
    with base.office() as office:
        found = explaining.explain(office, account, deal, spoken)
    if as_json:
        base.show_json(
            {
                "deal": found.deal, "name": found.name, "kept": found.kept,
                "violations": [
                    {"status": one.status, "rule": one.row["rule"],
                     "breach_at": iso(one.row["breach_at"]), "story": one.lines}
                    for one in found.told
                ],
                "failures": list(map(asdict, found.failures)),
            }
        )  # fmt: skip
        return
    words = _STATUS[spoken]
    base.out.print(f"{found.name} ({found.deal})", markup=False)
    for one in found.told:
        base.out.print(f"\n[{words[one.status]}] {one.lines[0]}", markup=False)
        for line in one.lines[1:]:
            base.out.print(f"  {line}", markup=False)
    if not found.told:
        base.out.print(words["none"])
    base.out.print(f"\n{words['kept']}: {', '.join(found.kept)}", markup=False)
    for failure in found.failures:
        base.out.print(f"{words['failed']}: {failure.rule} ({failure.error})", markup=False)


_STATUS = {
    "ru": {
        "open": "открыто", "upcoming": "наступит", "resolved": "закрыто",
        "none": "Нарушений не было и не предвидится.", "kept": "Соблюдаются правила",
        "failed": "Правило не смогло ответить",
    },
    "en": {
        "open": "open", "upcoming": "upcoming", "resolved": "resolved",
        "none": "No violation, none before, none ahead.", "kept": "Rules that it keeps",
        "failed": "Rule without an answer",
    },
}  # fmt: skip


@app.command()
def schema() -> None:
    """The JSON Schema of rule files: editors complete and check with it."""
    base.show_json(rule_schema())


@app.command()
def diff(file: File, account: Whose = "", as_json: Json = False) -> None:
    """What a file changes against the built-in rules, or what is in force for an account."""
    known = {model.id: model for model in _known(account)}
    read = _read(file)
    changes = [change for model in read for change in changed(known.get(model.id), model)]
    changes += _dropped(known, read) if account else []
    if as_json:
        base.show_json([{"rule": c.rule, "field": c.field, "from": c.old, "to": c.new}
                        for c in changes])  # fmt: skip
        return
    for change in changes:
        base.out.print(f"{change.rule}: {change.field}: {change.old} -> {change.new}", markup=False)
    if not changes:
        which = f"the rules of {account}" if account else "the built-in rules"
        base.out.print(f"The file says what {which} say.", markup=False)


def _dropped(known: Mapping[str, RuleModel], read: Sequence[RuleModel]) -> list[Change]:
    """What an account's own file says now and the new one does not: the built-in rule is back."""
    with base.office() as office:
        shipped = office.book.models
    named = {model.id for model in read}
    found: list[Change] = []
    for name in known.keys() - named:
        if name not in shipped:
            found.append(Change(name, "rule", known[name].when, None))
        else:
            found += changed(known[name], shipped[name])
    return sorted(found, key=lambda change: change.rule)


def _show_trial(found: trial.Trial, config: Config, most: int) -> None:
    if not found.changed:
        base.out.print("The file changes nothing for this account.")
        return
    base.out.print(f"Changed: {', '.join(found.changed)}", markup=False)
    base.out.print(f"{found.timelines} timelines judged; {found.stays} violations stay open.")
    for title, rows in (("Would open", found.opens), ("Would close", found.closes)):
        by_seller = Counter(_seller(row, config) for row in rows)
        whom = ", ".join(f"{name} {count}" for name, count in by_seller.most_common())
        base.out.print(f"{title}: {len(rows)}" + (f" ({whom})" if whom else ""), markup=False)
        for row in sorted(rows, key=lambda one: one.breach_at)[:most]:
            base.out.print(f"  {_line(row, config)}", markup=False)
        if len(rows) > most:
            base.out.print(f"  ... and {len(rows) - most} more (--most, --json)")
    for failure in found.failures[:most]:
        base.err.print(f"{failure.rule} on {failure.subject}: {failure.error}", markup=False)


def _line(row: Found, config: Config) -> str:
    since = to_datetime(row.breach_at).astimezone(config.timezone)
    name = row.values.get("text", {}).get("name") or f"{row.subject_kind} {row.subject_id}"
    return f"{since:%d.%m.%Y %H:%M}  {row.rule}  {name}  ({_seller(row, config)})"


def _seller(row: Found, config: Config) -> str:
    known = config.directory.seller(row.owner)
    return known.name if known else row.owner or "nobody"
