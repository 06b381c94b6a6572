"""Bad configuration is one sentence that names the field and what would be right."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from service.domain.directory import TaskKind
from service.domain.named import parse_document
from service.domain.resolving import resolve
from service.errors import ConfigError
from service.rules.loading import load_book
from service.settings import load_settings
from tests import world


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DOZOR_PROT", "1", "did you mean DOZOR_PORT"),
        ("DOZOR_PORT", "abc", "DOZOR_PORT"),
        ("DOZOR_CLOCK", "yesterday", "DOZOR_CLOCK"),
        ("DOZOR_CLOCK", "2026-03-02T10:00:00Zx60", "DOZOR_DEMO=1"),
        ("DOZOR_DATABASE_URL", "mysql://x", "sqlite:/// or postgresql://"),
        ("DOZOR_TIMEZONE", "Moscow", "Europe/Moscow"),
        ("DOZOR_LANG", "de", "DOZOR_LANG"),
        ("DOZOR_PUBLIC_URL", "example.com", "https://"),
    ],
)
def test_wrong_setting_is_named(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=words):
        load_settings()


def test_unknown_name_in_dotenv_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DOZOR_HOTS=1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="did you mean DOZOR_HOST"):
        load_settings()


def away(first: str, last: str, deputy: str | None = None) -> dict[str, Any]:
    """Settings with an absence."""
    return {"sellers": {"7": {"absent": [{"from": first, "to": last, "deputy": deputy}]}}}


def hears(**chosen: Any) -> dict[str, Any]:
    """Settings with a receiver who hears of some things only."""
    return {"alerts": {"receivers": {"head": {"telegram": 1, **chosen}}}}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"timezon": "x"}, "timezon: there is no such setting; did you mean timezone"),
        ({"timezone": "Moscow"}, "timezone: there is no zone"),
        ({"work": {"week": "always"}}, "work.week"),
        ({"work": {"holidays": "XX"}}, "work.holidays"),
        ({"work": {"exceptions": {"2026-13-01": "off"}}}, "work.exceptions"),
        ({"pipelines": {"Продажы": {}}}, "near ones: Продажи"),
        ({"pipelines": {"Продажи": {"required": {"КП": ["ИНМ"]}}}}, "near ones: ИНН"),
        ({"pipelines": {"Продажи": {"required": {"КПП": ["ИНН"]}}}}, "near ones: КП"),
        ({"sellers": {"Иваноф": {"limit": 3}}}, "near ones: Иванов"),
        ({"sellers": {"7": {"limit": -1}}}, "sellers.7.limit"),
        ({"teams": {"А": ["77"]}}, "teams.А"),
        ({"teams": {"А": [{"id": 7, "from": "1.3.2026"}]}}, "teams.А.0.from: '1.3.2026' is no"),
        ({"teams": {"А": [{"id": 7, "from": "2026-03-02", "to": "2026-03-01"}]}}, "lies before"),
        ({"teams": {"А": [7], "Б": [9, "Иванов"]}}, "teams.Б: seller 7 is in 'А' at the same time"),
        (
            {
                "teams": {
                    "А": [{"id": 7, "to": "2026-03-02"}],
                    "Б": [{"id": 7, "from": "2026-03-02"}],
                }
            },
            "teams.Б: seller 7",
        ),
        (
            {"sellers": {"7": {"newcomer_until": "завтра"}}},
            "sellers.7.newcomer_until: 'завтра' is no date",
        ),
        (away("2026-03-05", "2026-03-01"), "sellers.7.absent.0: to: 2026-03-01 lies before"),
        (away("tomorrow", "2026-03-01"), "sellers.7.absent.0.from: 'tomorrow' is no date"),
        (away("2026-03-05", "2099-12-31"), "to: an absence lasts at most 1100 days"),
        (away("2026-03-05", "2026-03-06", "Петров"), "sellers.7.absent.deputy: the portal has no"),
        ({"alerts": {"quiet": "20:00-20:00"}}, "alerts.quiet: 20:00-20:00 ends where it begins"),
        (hears(sellers=["Иваноф"]), "alerts.receivers.head.sellers: the portal has no seller"),
        (hears(rules=["deal-stuk"]), "alerts.receivers.head.rules: deal-stuk: there is no such"),
        ({"work": {"week": "mon-fri 10:75-18:00"}}, "work.week: '10:75-18:00' is no working time"),
        ({"newcomer_share": 0}, "newcomer_share"),
        ({"hygiene": {"amount_classes": [9, 9]}}, "hygiene.amount_classes: the first amount must"),
        ({"hygiene": {"amount_classes": [9]}}, "hygiene.amount_classes"),
        ({"hygiene": {"amount_classes": [0, 9]}}, "hygiene.amount_classes.0"),
        (
            {"pipelines": {"Продажи": {"weights": {"КП": -1}}}},
            "pipelines: Продажи.weights.КП: must",
        ),
        ({"pipelines": {"Продажи": {"hot_amount": -1}}}, "pipelines: Продажи.hot_amount: must be"),
        ({"team_limits": {"Отдел 3": {"open_deals": 5}}}, "near ones: Отдел"),
        (
            {"team_limits": {"Отдел 1": {"open_deal": 5}}},
            "team_limits: Отдел 1: there is no 'open_deal' here",
        ),
        (
            {"team_limits": {"Отдел 1": {"open_deals": -5}}},
            "team_limits: Отдел 1: open_deals: must be",
        ),
        (
            {"team_totals": {"Отдел 1": {"hot_deals": 5}}},
            "team_totals: Отдел 1: there is no 'hot_deals' here",
        ),
        (
            {"pipelines": {"Продажи": {"limits": {"hot_deals": 5}}}},
            "Продажи.limits: there is no 'hot_deals' here",
        ),
        ({"rules": {"deal-stuk": {"off": True}}}, "did you mean deal-stuck"),
        ({"rules": {"deal-stuck": {"for": {"Нет такого": "3wd"}}}}, "no pipeline has a stage"),
        ({"rules": {"deal-stuck": {"for": "3x"}}}, "no span of time"),
        ({"rules": {"deal-stuck": {"for": "-1wd"}}}, "'-1wd': a span of working time cannot be"),
        ({"rules": {"call-without-note": {"params": {"seconds": 5}}}}, "min_seconds"),
        (
            {"rules": {"call-without-note": {"params": {"min_seconds": "5"}}}},
            "must be a whole number",
        ),
        (
            {"rules": {"deal-no-first-touch": {"params": {"clock_from": "inquiri"}}}},
            "params.clock_from: must be acceptance or inquiry",
        ),
        ({"rules": {"task-no-text": {"params": {"exempt_kinds": "1"}}}}, "must be a list of texts"),
    ],
)
def test_wrong_account_settings_name_the_field(document: dict[str, Any], words: str) -> None:
    def use() -> None:
        config = resolve("a", "amocrm", world.DIRECTORY, parse_document(document))
        config.check()
        load_book().check(config)

    with pytest.raises(ConfigError) as caught:
        use()
    assert words in str(caught.value), str(caught.value)


def test_yaml_of_the_design_is_accepted() -> None:
    document = parse_document(
        {
            "work": {"week": "mon-fri 10:00-18:00", "exceptions": {"2027-01-11": False}},
            "pipelines": {"Продажи": {"required": {"КП": ["contact", "budget"]}}},
            "teams": {"Отдел 1": [7, 9]},
            "sellers": {7: {"limit": 30, "telegram": 111222,
                            "absent": [{"from": "2026-12-01", "to": "2026-12-14", "deputy": 9}]}},
            "limits": {"open_deals": 50},
            "rules": {"deal-stuck": {"for": {"default": "5wd", "КП": "3wd"}},
                      "call-without-note": {"params": {"min_seconds": 60}},
                      "card-incomplete": False},
            "alerts": {"receivers": {"head": {"telegram": 333444, "rules": "*"}},
                       "quiet": "20:00-09:00"},
        }
    )  # fmt: skip
    config = resolve("romashka", "amocrm", world.DIRECTORY, document)
    config.check()
    rules = {rule.id: rule for rule in load_book().in_force(config)}
    assert "card-incomplete" not in rules
    assert str(rules["deal-stuck"].span("31", "20")) == "3wd"
    assert str(rules["deal-stuck"].span("31", "30")) == "5wd"
    assert rules["call-without-note"].params == {"min_seconds": 60}
    assert config.limit("7") == 30
    assert config.limit("9") == 50


@pytest.mark.parametrize(("currency", "hot"), [("RUB", 100_000), ("JPY", 1000), ("KWD", 10**6)])
def test_a_large_amount_is_said_in_major_units(currency: str, hot: int) -> None:
    document = {"currency": currency, "pipelines": {"Продажи": {"hot_amount": 1000}}}
    standards = resolve("a", "amocrm", world.DIRECTORY, parse_document(document)).standards
    assert standards.is_hot("31", "10", hot, ())
    assert not standards.is_hot("31", "10", hot - 1, ())


KINDS = (TaskKind(id="1", name="Связаться"), TaskKind(id="2", name="Встреча"))


@pytest.mark.parametrize(
    ("rule", "name", "said"),
    [
        ("task-overdue", "Встречи", "there is no kind of tasks 'Встречи'; near ones: Встреча"),
        ("task-overdue", "kind:Встречи", "there is no kind of tasks 'Встречи'; near ones: Встреча"),
        ("task-overdue", "source:сайт", "a task goes by stage, pipeline, kind"),
        ("deal-no-first-touch", "kind:Встреча", "a deal goes by stage, pipeline, source"),
        ("deal-no-first-touch", "stage:Догвор", "near ones: Договор"),
        ("deal-stuck", "Догвор", "no pipeline has a stage 'Догвор'; near ones: Договор"),
        ("deal-no-first-touch", "sorce:сайт", "did you mean source:сайт?"),
        ("lead-not-processed", "kind:x", "a lead goes by source, category"),
    ],
)
def test_a_norm_by_a_name_that_means_nothing_is_told(rule: str, name: str, said: str) -> None:
    document = parse_document({"rules": {rule: {"for": {name: "2wh"}}}})
    config = resolve("romashka", "amocrm", replace(world.DIRECTORY, task_kinds=KINDS), document)
    with pytest.raises(ConfigError, match=f"rules.{rule}.for") as refused:
        load_book().check(config)
    assert said in str(refused.value)


def test_norms_by_source_and_kind_belong_to_the_version() -> None:
    def version(rule: str, spans: dict[str, str]) -> str:
        document = parse_document({"rules": {rule: {"for": spans}}})
        config = resolve("romashka", "amocrm", replace(world.DIRECTORY, task_kinds=KINDS), document)
        return next(r.version for r in load_book().in_force(config) if r.id == rule)

    plain = version("deal-no-first-touch", {})
    sites = [version("deal-no-first-touch", {"сайт": span}) for span in ("5wm", "9wm")]
    assert len({plain, *sites}) == 3
    assert version("deal-no-first-touch", {"source:Сайт": "5wm"}) == sites[0]
    assert version("task-overdue", {"2": "1wh"}) == version("task-overdue", {"встреча": "1wh"})
