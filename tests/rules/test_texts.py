"""Every sentence that the head of sales reads about a rule, as it comes out.

The golden file is written anew by `python -m tests.rules.test_texts`; read its difference aloud.
"""

import re
from pathlib import Path

import pytest

from service.pipeline.derive import violation_row
from service.rules.attribute_words import NAMES, VALUES, attribute_name
from service.rules.attributes import ATTRIBUTES
from service.rules.explain import story
from service.rules.loading import builtin_rules
from service.rules.schema import RuleModel
from service.rules.testing import intervals
from service.rules.texts import PLACEHOLDERS, Names, advice, render_title

GOLDEN = Path(__file__).with_name("texts.txt")
RULES = builtin_rules()
LATER = 26 * 3600
NEXT = ("Закроется так", "What ends it")  # the advice again


def spoken(model: RuleModel) -> list[str]:
    """Title and advice of the first violation in the rule's own tests, in both languages."""
    test = next(test for test in model.tests if test.expect)
    config, found = intervals(model, test)
    row = violation_row(config, "deal:1", found[0])
    subject = found[0].values["text"].get("name") or "Окна"
    names = Names("Окна", str(subject))
    lines = [f"{model.id}"]
    for lang in ("ru", "en"):
        title = render_title(model, row, names, config, found[0].breach_at + LATER, lang)
        name = getattr(model.name, lang) if model.name else "-"
        lines += [f"  {lang}: {name}", f"      {title}", f"      {advice(model, lang)}"]
        told = story(row, model, title, config, found[0].breach_at + LATER, lang)
        lines += [f"      {line}" for line in told[1:-1] if not line.startswith(NEXT)]
    return lines


def all_spoken() -> str:
    ordered = sorted(RULES, key=lambda m: m.id)
    return "\n".join(line for model in ordered for line in spoken(model)) + "\n"


def test_all_texts_are_the_golden_ones() -> None:
    assert all_spoken() == GOLDEN.read_text(encoding="utf-8")


def test_a_breach_that_came_long_after_the_time_was_up_says_both() -> None:
    model = next(model for model in RULES if model.id == "deal-no-first-touch")
    test = next(test for test in model.tests if test.name == "reopened and never touched")
    config, (found,) = intervals(model, test)
    row = violation_row(config, "deal:1", found)
    told = {lang: story(row, model, "", config, found.breach_at, lang)[1] for lang in ("ru", "en")}
    assert told == {
        "ru": "Отсчёт с 02.03.2026 12:00; допустимо 30 раб. мин, срок истёк 02.03.2026 12:30; "
        "нарушение с 04.03.2026 11:00.",
        "en": "Counted from 02.03.2026 12:00; 30 working min allowed, run out at "
        "02.03.2026 12:30; in breach since 04.03.2026 11:00.",
    }


@pytest.mark.parametrize("model", RULES, ids=lambda m: m.id)
def test_titles_name_only_what_there_is(model: RuleModel) -> None:
    for text in (model.title, model.advice, model.name):
        assert text is not None
        for lang in ("ru", "en"):
            said = getattr(text, lang)
            assert said.strip() == said
            assert set(re.findall(r"\{([a-z_]+)\}", said)) <= PLACEHOLDERS
    assert set(re.findall(r"\{([a-z_]+)\}", model.title.ru)) == set(
        re.findall(r"\{([a-z_]+)\}", model.title.en)
    )


def test_each_attribute_has_a_name_for_people_in_both_languages() -> None:
    assert NAMES.keys() == {name for known in ATTRIBUTES.values() for name in known}
    for russian, english in [*NAMES.values(), *VALUES.values()]:
        assert re.search("[а-я]", russian)
        assert not re.search("[а-я]", english)
    for prefix in ATTRIBUTES:  # two things of one name would be told apart by nobody
        names = [words for name, words in NAMES.items() if name.startswith(f"{prefix}.")]
        for lang in (0, 1):
            said = [words[lang] for words in names]
            doubles = {one for one in said if said.count(one) > 1}
            assert doubles <= {"последний разговор", "last talk"}


def test_what_proves_a_violation_is_named_after_its_subject() -> None:
    for model in RULES:
        test = next(test for test in model.tests if test.expect)
        for found in intervals(model, test)[1]:
            for name in found.values["attributes"]:
                assert name.startswith(f"{model.on}."), model.id
                assert attribute_name(name, "ru") != name


def test_each_language_is_its_own() -> None:
    for model in RULES:
        for text in (model.title, model.advice, model.name):
            assert text is not None
            assert re.search("[а-яё]", text.ru, re.IGNORECASE), model.id
            assert not re.search("[а-яё]", text.en, re.IGNORECASE), model.id


if __name__ == "__main__":
    GOLDEN.write_text(all_spoken(), encoding="utf-8")
