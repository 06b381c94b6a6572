"""`dozor rules list|check|test|try`."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli import base
from service.errors import ConfigError
from service.files import read_text
from service.rules.book import builtin_rules, parse_rules
from service.rules.schema import RuleModel
from service.rules.testing import run_tests

app = typer.Typer(help="Rules: look at them, check and test a file.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="data for programs")]
File = Annotated[Path, typer.Argument(help="a rule file (YAML)")]


def _read(path: Path) -> list[RuleModel]:
    return parse_rules(read_text(path, "FILE"), str(path))


@app.command("list")
def list_rules(as_json: Json = False) -> None:
    """The built-in rules."""
    models = builtin_rules()
    if as_json:
        base.show_json(
            [m.model_dump(mode="json", by_alias=True, exclude={"tests"}) for m in models]
        )
        return
    rows = [(m.id, m.on, m.form, m.severity, m.for_, m.title.ru) for m in models]
    base.show_table(("id", "on", "form", "severity", "for", "title"), rows)


@app.command()
def check(file: File, as_json: Json = False) -> None:
    """Load and type-check a file; errors carry line and column."""
    text = read_text(file, "FILE")
    try:
        models = parse_rules(text, str(file))
    except ConfigError as error:
        if as_json:
            base.show_json({"valid": False, "error": str(error)})
        else:
            base.err.print(str(error), markup=False)
        raise typer.Exit(1) from None
    if as_json:
        base.show_json({"valid": True, "rules": [m.id for m in models]})
    else:
        base.out.print(f"{file}: {len(models)} rules, all well.")


@app.command()
def test(
    file: Annotated[Path | None, typer.Argument(help="a rule file; none = the built-in")] = None,
    as_json: Json = False,
) -> None:
    """Run the tests inside a rule file."""
    outcomes = run_tests(_read(file) if file else builtin_rules())
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
def try_rules(file: File) -> None:
    """Judge stored facts by a changed file (comes with a later version)."""
    _read(file)
    raise ConfigError("rules try: not in this version; `rules check` and `rules test` are")
