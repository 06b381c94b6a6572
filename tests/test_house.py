"""What linters cannot hold: sizes, papers that name everything, no paths of one machine."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from service.kpi import paper
from service.kpi.metrics import METRICS
from service.rules.loading import builtin_rules
from service.rules.paper import table
from service.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SOURCES = sorted((ROOT / "service").rglob("*.py"))
MOST_LINES, MOST_IN_FUNCTION = 400, 60
LONGER = {
    "deal_fields": 65,  # a table of what a portal says of its fields
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_file_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    most = LONGER.get(str(path.relative_to(ROOT)), MOST_LINES)
    assert len(text.splitlines()) <= most
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= LONGER.get(node.name, MOST_IN_FUNCTION), f"{node.name}: {length} lines"


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_setting_is_in_the_readme(name: str) -> None:
    assert PREFIX + name.upper() in README


@pytest.mark.parametrize("rule", [model.id for model in builtin_rules()])
def test_rule_is_in_the_readme(rule: str) -> None:
    assert f"`{rule}`" in README


@pytest.mark.parametrize(("paper", "lang"), [("README.md", "en"), ("README.ru.md", "ru")])
def test_tables_of_rules_are_the_rules_own(paper: str, lang: str) -> None:
    """`dozor rules list --markdown LANG` makes them."""
    assert table(builtin_rules(), lang) in (ROOT / paper).read_text(encoding="utf-8")


def test_page_of_figures_is_the_figures_own() -> None:
    """`dozor kpi list --markdown` makes it; the README names no other figures."""
    assert paper.page() == (ROOT / "deploy/bi/figures.md").read_text(encoding="utf-8")
    assert "deploy/bi/figures.md" in README
    table = README.partition("## Figures")[2].partition("\n\n**BI.**")[0]
    named = re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE)
    assert len(named) > 10
    assert set(named) <= METRICS.keys()


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [ROOT / name for name in listed.split("\0") if name]


def test_no_path_of_one_machine_and_no_registry_in_the_repository() -> None:
    forbidden = re.compile(
        r"(?<![\w.#])/(work|root|farm)/|https?://[a-z.]*(pypi|pythonhosted|npmjs)"
    )
    for path in tracked():
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".yml", ".lock", ""} and path.is_file():
            found = forbidden.findall(path.read_text(encoding="utf-8", errors="replace"))
            assert path == Path(__file__) or not found, (path, found)


def test_ci_runs_what_the_readme_tells_a_newcomer_to_run() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make test" in README
