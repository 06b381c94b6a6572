"""Every sentence with which an adapter refuses can be said in Russian."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.crm.bearer import again
from service.crm.bitrix24 import rest
from service.crm.bitrix24.api import BY_HAND
from service.domain.findings import Finding
from service.domain.refusals import is_known, spoken

SERVICE = Path(__file__).parents[2] / "service"
FILES = [
    *sorted((SERVICE / "crm").rglob("*.py")),
    SERVICE / "http.py", SERVICE / "pipeline" / "vault.py", SERVICE / "errors.py",
]  # fmt: skip


def sentences() -> Iterator[tuple[str, str]]:
    """(where, the sentence with {} for what differs) of every Source... that is made."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            if name.startswith("Source") or name in {"PathMissing", "MethodMissing"}:
                template = written(node.args[0])
                if template is not None:
                    yield f"{file.name}:{node.lineno}", template


def written(node: ast.expr) -> str | None:
    """The sentence as written; None: it stands elsewhere (a constant, a catalogue)."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)
    return None


FOUND = sorted(set(sentences()))


def test_sentences_are_found() -> None:
    assert len(FOUND) > 25


@pytest.mark.parametrize(("where", "template"), FOUND, ids=[where for where, _ in FOUND])
def test_every_refusal_has_a_russian_sentence(where: str, template: str) -> None:
    assert is_known(template), f"{where} says what service/domain/refusals.py does not know"


@pytest.mark.parametrize("sentence", [*rest._REFUSALS.values(), BY_HAND, again("romashka")])
def test_catalogues_of_refusals_have_russian_sentences(sentence: str) -> None:
    said = spoken(sentence, "ru")
    assert said != sentence
    assert any("а" <= letter <= "я" for letter in said)
    assert spoken(sentence, "en") == sentence


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("https://x.amocrm.ru does not answer", "https://x.amocrm.ru не отвечает"),
        ("the portal answered 502", "портал ответил 502"),
        ("the portal was not authorised: no code came", "доступ к порталу не выдан: код не пришёл"),
        (
            "limits.sellers: the portal has no seller 'Ива'; near ones: Иван",
            "limits.sellers: на портале нет сотрудника 'Ива'; похожие: Иван",
        ),
        ("something new", "something new"),
    ],
)
def test_what_differs_is_kept(sentence: str, said: str) -> None:
    assert spoken(sentence, "ru") == said


def test_finding_speaks_one_language() -> None:
    found = Finding("portal", False, {"error": "the portal answered 502", "account": "romashka"})
    assert found.told("ru").detail == "портал ответил 502"
    assert found.told("en").detail == "the portal answered 502"
    hook = Finding("hook", False, {"state": "missing", "url": "u", "account": "a"})
    assert hook.told("ru").detail == "портал говорит: не найден"
