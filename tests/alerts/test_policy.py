"""Who hears of what, when, and in which words."""

from dataclasses import replace
from datetime import date
from typing import Any, Literal

from service.alerts import policy
from service.alerts.policy import Event, plan
from service.domain.absences import Leave
from service.domain.config import Config
from service.domain.named import parse_document
from service.domain.resolving import resolve
from service.rules.loading import load_book
from service.rules.texts import Names, advice, render_title
from tests import world

BOOK = load_book()
NOW = world.moment("2026-03-03 15:02")


def config(**alerts: Any) -> Config:
    chosen = {"receivers": {"head": {"telegram": 333}}} | alerts
    document = parse_document({"alerts": chosen})
    return resolve(
        "romashka",
        "amocrm",
        world.DIRECTORY,
        document,
        connected_at=world.moment("2026-03-01 00:00"),
    )


def row(rule: str = "task-overdue", **changes: Any) -> dict[str, Any]:
    breach = world.moment("2026-03-03 15:00")
    base = {
        "id": "vio_1", "rule": rule, "severity": BOOK.models[rule].severity,
        "subject_kind": "task", "subject_id": "11", "deal": "1", "pipeline": "31", "stage": "20",
        "seller": "7", "owner": "7", "amount": 0, "currency": "RUB", "since": breach,
        "held_since": breach, "breach_at": breach, "resolved_at": None,
        "values": {"attributes": {}, "for": "0m", "text": {"name": "Перезвонить по КП"}},
    }  # fmt: skip
    return base | changes


def event(
    kind: Literal["opened", "resolved"] = "opened",
    now: int = NOW,
    muted: bool = False,
    told: tuple[str, ...] = (),
    **changes: Any,
) -> Event:
    found = row(**changes)
    model = BOOK.models[found["rule"]]
    names = Names("Окна, ул. Мира 5", found["values"]["text"].get("name") or "Окна, ул. Мира 5")
    titles = {lang: render_title(model, found, names, config(), now, lang) for lang in ("ru", "en")}
    return Event(
        kind, found, titles, {lang: advice(model, lang) for lang in ("ru", "en")}, "Иванов",
        "Окна, ул. Мира 5", "https://romashka.example/leads/detail/1", muted, frozenset(told),
    )  # fmt: skip


def test_overdue_task_is_told_with_who_what_how_long_and_where() -> None:
    (message,) = plan([event()], config(), NOW)
    assert message.text == (
        "🟡 Просрочена задача: «Перезвонить по КП», на 2 мин\n"
        "Иванов · Окна, ул. Мира 5\n"
        "Нарушение с 03.03 15:00\n"
        "→ Закройте с результатом или договоритесь с клиентом о новом сроке\n"
        "https://romashka.example/leads/detail/1"
    )
    assert (message.receiver, message.kind, message.not_before) == ("head", "opened", NOW)


def test_english_by_setting() -> None:
    chosen = config(receivers={"head": {"telegram": 333, "lang": "en"}})
    (message,) = plan([event()], chosen, NOW)
    assert message.text.splitlines()[0] == '🟡 Task overdue by 2 min: "Перезвонить по КП"'


def test_resolved_is_told_to_whoever_was_told_of_the_breach() -> None:
    end = world.moment("2026-03-03 16:20")
    done = event("resolved", now=end, told=("head",), resolved_at=end)
    (message,) = plan([done], config(), end)
    assert message.text.splitlines()[0] == (
        "✅ Решено: Просрочена задача: «Перезвонить по КП», на 1 ч 20 мин"
    )
    assert "Длилось 1 ч 20 мин — с 03.03 15:00 до 03.03 16:20" in message.text
    assert plan([event("resolved", now=end, resolved_at=end)], config(), end) == []
    assert plan([done], config(resolved=False), end) == []


def test_titles_of_the_eight_rules() -> None:
    texts = {
        "deal-no-task": (row("deal-no-task"), "Сделка без следующего шага: Окна, ул. Мира 5"),
        "deal-stuck": (
            row("deal-stuck", since=world.moment("2026-02-20 12:00"),
                values={"for": "5wd", "text": {}}),
            "Окна, ул. Мира 5: 6 раб. дн. на этапе «КП», норма 5 раб. дн.",
        ),
        "card-incomplete": (
            row("card-incomplete", values={"for": "1wh", "text": {"missing": ["501", "phone"]}}),
            "Карточка не заполнена: ИНН, телефон",
        ),
        "deal-no-first-touch": (
            row("deal-no-first-touch", since=world.moment("2026-03-03 14:30")),
            "Новое обращение без касания 32 мин: Окна, ул. Мира 5",
        ),
        "deal-lost-no-reason": (row("deal-lost-no-reason"), "Отказ без причины: Окна, ул. Мира 5"),
        "call-without-note": (
            row("call-without-note", values={"for": "1wh", "text": {"seconds": 600}}),
            "Разговор 10 мин без записи",
        ),
        "seller-too-many-deals": (
            row("seller-too-many-deals", values={"for": "0m", "text": {"n": 51, "limit": 50}}),
            "Иванов: 51 сделка при норме 50",
        ),
    }  # fmt: skip
    for rule, (found, expected) in texts.items():
        names = Names("Окна, ул. Мира 5", "Окна, ул. Мира 5")
        title = render_title(BOOK.models[rule], found, names, config(), NOW, "ru")
        assert title == expected, rule
        assert "{" not in render_title(BOOK.models[rule], found, names, config(), NOW, "en")


def test_breaches_older_than_the_connection_go_into_one_digest() -> None:
    old = [
        event(id=f"vio_{n}", breach_at=world.moment("2026-02-20 12:00"), subject_id=str(n))
        for n in range(30)
    ]
    (message,) = plan([*old], config(), NOW)
    assert message.kind == "digest"
    assert "Накопилось раньше: 30 нарушений" in message.text
    assert "• Иванов: 30" in message.text
    assert len(message.violations) == 30


def test_violations_of_one_seller_and_rule_are_one_message() -> None:
    (message,) = plan([event(id=f"vio_{n}") for n in range(12)], config(), NOW)
    assert message.text.startswith("🟡 Иванов: 12 нарушений\n• ")
    assert "… и ещё 2" in message.text


def test_quiet_hours_hold_a_message_until_their_end() -> None:
    night = world.moment("2026-03-03 22:30")
    (message,) = plan([event(now=night)], config(quiet="20:00-09:00"), night)
    assert message.not_before == world.moment("2026-03-04 09:00")
    assert message.reason == "quiet_hours"
    morning = world.moment("2026-03-04 08:00")
    assert policy.quiet_until(config(quiet="20:00-09:00"), morning) == world.moment(
        "2026-03-04 09:00"
    )
    assert policy.quiet_until(config(quiet="20:00-09:00"), NOW) == NOW
    midnight = world.moment("2026-03-04 00:00")
    assert policy.quiet_until(config(quiet="20:00-24:00"), night) == midnight
    assert policy.quiet_until(config(quiet="20:00-24:00"), midnight) == midnight


def test_muted_is_kept_but_not_sent() -> None:
    (message,) = plan([event(muted=True)], config(), NOW)
    assert message.suppressed == "muted"


def test_receivers_hear_only_what_concerns_them() -> None:
    assert plan([event(severity="info")], config(), NOW) == []
    only = {"head": {"telegram": 1, "rules": ["deal-stuck"]}}
    assert plan([event()], config(receivers=only), NOW) == []
    for others in ("9", "Петрова"):
        receivers = {"head": {"telegram": 1, "sellers": [others]}}
        assert plan([event()], config(receivers=receivers), NOW) == []
    for own in ("7", "иванов"):
        receivers = {"head": {"telegram": 1, "sellers": [own]}}
        assert len(plan([event()], config(receivers=receivers), NOW)) == 1
    assert plan([event()], config(receivers={"head": {"telegram": 1, "rules": []}}), NOW) == []
    mine = {"head": {"telegram": 1, "sellers": [7]}}
    assert len(plan([event()], config(receivers=mine), NOW)) == 1


def test_the_same_events_make_the_same_key() -> None:
    first, second = plan([event()], config(), NOW), plan([event()], config(), NOW + 60)
    assert first[0].key == second[0].key


def test_what_lies_before_an_absence_was_told_of_is_kept_and_sent_to_nobody() -> None:
    day = date(2026, 3, 3)
    told = world.moment("2026-03-03 15:01")
    cases: list[tuple[Leave, dict[str, Any], str]] = [
        (Leave("7", day, day, None, told), {}, "after_the_fact"),
        (Leave("7", day, day, None, told, removed=True), {}, "after_the_fact"),
        (Leave("7", day, day, None, world.moment("2026-03-03 15:00")), {}, ""),
        (Leave("7", date(2026, 3, 4), day, None, told), {}, ""),
        (Leave("9", day, day, None, told), {}, ""),
        (Leave("9", day, day, None, told), {"owner": "9"}, "after_the_fact"),
        (
            Leave("9", day, day, None, told),
            {"rule": "team-imbalance", "severity": "warning", "subject_kind": "team",
             "subject_id": "1", "seller": "", "owner": "",
             "values": {"for": "0m", "text": {"n": 1, "full": "7", "free": "9", "move": 1}}},
            "after_the_fact",
        ),
    ]  # fmt: skip
    for leave, changes, expected in cases:
        chosen = replace(config(), leaves=(leave,))
        (message,) = plan([event(**changes)], chosen, NOW)
        assert message.suppressed == expected, (leave, changes)
