"""The words of a message: who, what, how long, where to look, what to do."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from service.domain.bulk import Stretch
from service.domain.config import Config
from service.domain.instant import Instant, to_datetime
from service.domain.refusals import spoken
from service.domain.speech import elapsed, plural
from service.domain.violation import SEVERITIES

if TYPE_CHECKING:
    from service.alerts.policy import Event

LISTED = 10
_MARKS = {"critical": "🔴", "warning": "🟡", "info": "🔵"}


def group(events: "Sequence[Event]", config: Config, lang: str) -> str:
    """A message about events of one rule and seller."""
    if len(events) == 1:
        return _single(events[0], config, lang)
    return _several(events, lang)


def _single(event: "Event", config: Config, lang: str) -> str:
    mark = "✅" if event.kind == "resolved" else _MARKS[str(event.row["severity"])]
    title = event.title[lang]
    lines = [
        f"{mark} {_resolved(lang)}: {title}" if event.kind == "resolved" else f"{mark} {title}"
    ]
    about = [part for part in (event.seller, event.deal) if part and part not in title]
    if about:
        lines.append(" · ".join(about))
    lines.append(_when(event, config, lang))
    if event.kind == "opened":
        lines.append(f"→ {event.advice[lang]}")
    if event.url:
        lines.append(event.url)
    return "\n".join(lines)


def _resolved(lang: str) -> str:
    return "Решено" if lang == "ru" else "Resolved"


def _when(event: "Event", config: Config, lang: str) -> str:
    since = local_time(event.row["breach_at"], config)
    if event.kind == "resolved":
        end = event.row["resolved_at"]
        lasted = elapsed(end - event.row["breach_at"], lang)
        words = "Длилось {} — с {} до {}" if lang == "ru" else "Lasted {}: {} to {}"
        return words.format(lasted, since, local_time(end, config))
    return f"Нарушение с {since}" if lang == "ru" else f"Since {since}"


def local_time(at: Instant, config: Config) -> str:
    """`02.03 15:00` in the account's zone."""
    return to_datetime(at).astimezone(config.timezone).strftime("%d.%m %H:%M")


def _several(events: "Sequence[Event]", lang: str) -> str:
    first = events[0]
    mark = "✅" if first.kind == "resolved" else _MARKS[str(first.row["severity"])]
    head = _count(len(events), lang)
    if first.kind == "resolved":
        head = f"{_resolved(lang)}: {head}"
    lines = [f"{mark} {first.seller}: {head}" if first.seller else f"{mark} {head}"]
    for event in events[:LISTED]:
        link = f" {event.url}" if event.url else ""
        about = f" · {event.deal}" if event.deal and event.deal not in event.title[lang] else ""
        lines.append(f"• {event.title[lang]}{about}{link}")
    rest = len(events) - LISTED
    if rest > 0:
        lines.append(f"… и ещё {rest}" if lang == "ru" else f"… and {rest} more")
    if first.kind == "opened":
        lines.append(f"→ {first.advice[lang]}")
    return "\n".join(lines)


def _count(number: int, lang: str) -> str:
    if lang == "ru":
        return f"{number} {plural(number, 'нарушение', 'нарушения', 'нарушений')}"
    return f"{number} violations"


def bulk(events: "Sequence[Event]", stretch: Stretch, config: Config, lang: str) -> str:
    """One message for all that one bulk change began: by whom, when, what, where."""
    if len(events) == 1:
        return group(events, config, lang)
    by_rule = Counter(str(event.row["rule"]) for event in events)
    examples = {str(event.row["rule"]): event.title[lang] for event in events}
    by, began = _author(stretch.author, config, lang), local_time(stretch.since, config)
    span = began if stretch.until == stretch.since else f"{began}-{_clock(stretch.until, config)}"
    gravest = max(events, key=lambda event: SEVERITIES.index(str(event.row["severity"])))
    mark = _MARKS[str(gravest.row["severity"])]
    if lang == "ru":
        deals = f"{stretch.deals} {plural(stretch.deals, 'сделка', 'сделки', 'сделок')}"
        head = f"{mark} Массовое изменение ({by}, {span}, {deals}): {_count(len(events), lang)}"
        what, where = "По правилам (пример)", "Например"
    else:
        head = f"{mark} Bulk change ({by}, {span}, {stretch.deals} deals): "
        head += _count(len(events), lang)
        what, where = "By rule (an example)", "For example"
    lines = [head, f"{what}:"]
    lines += [f"• {count} × {examples[rule]}" for rule, count in by_rule.most_common(LISTED)]
    places = {event.deal: event.url for event in events if event.deal}
    if places:
        lines.append(f"{where}:")
        lines += [f"• {deal} {url or ''}".rstrip() for deal, url in list(places.items())[:LISTED]]
    if len(places) > LISTED:
        rest = len(places) - LISTED
        lines.append(f"… и ещё {rest}" if lang == "ru" else f"… and {rest} more")
    return "\n".join(lines)


def _author(author: str, config: Config, lang: str) -> str:
    if author == "0":
        return "робот или интеграция" if lang == "ru" else "a robot or integration"
    return config.seller_name(author) or author


def _clock(at: Instant, config: Config) -> str:
    return to_datetime(at).astimezone(config.timezone).strftime("%H:%M")


def digest(events: "Sequence[Event]", lang: str) -> str:
    """One message for all that went wrong before anybody watched."""
    by_seller = Counter(event.seller or "—" for event in events)
    by_rule = Counter(str(event.row["rule"]) for event in events)
    examples = {str(event.row["rule"]): event.title[lang] for event in events}
    if lang == "ru":
        head = f"📋 Накопилось раньше: {_count(len(events), lang)}"
        who, what = "По продавцам", "По правилам (пример)"
    else:
        head = f"📋 From before: {_count(len(events), lang)}"
        who, what = "By seller", "By rule (an example)"
    lines = [head, f"{who}:"]
    lines += [f"• {name}: {count}" for name, count in by_seller.most_common(LISTED)]
    lines.append(f"{what}:")
    lines += [f"• {count} × {examples[rule]}" for rule, count in by_rule.most_common(LISTED)]
    return "\n".join(lines)


_TROUBLE = {
    "error": {
        "ru": "⚠ Дозор потерял связь с порталом «{name}»: {error}",
        "en": "⚠ Dozor has lost the portal «{name}»: {error}",
    },
    "well": {
        "ru": "✅ Связь с порталом «{name}» восстановлена. Было: {error}",
        "en": "✅ The portal «{name}» is back. It was: {error}",
    },
    "hook_mended": {
        "ru": "Портал «{name}» отключил или потерял хук Дозора. Дозор подключил его снова; "
        "пропущенное дочитает сверка.",
        "en": "The portal «{name}» had switched off or lost Dozor's hook. It is on again; "
        "reconciliation reads what was missed.",
    },
    "hook_broken": {
        "ru": "⚠ Хук Дозора на портале «{name}» не работает ({state}). Включите его вручную: "
        "Настройки → WebHooks, адрес покажет dozor account check. {error}",
        "en": "⚠ Dozor's hook on the portal «{name}» does not work ({state}). Switch it on by "
        "hand: settings -> WebHooks; dozor account check shows the address. {error}",
    },
    "access_ends": {
        "ru": "⚠ Токен портала «{name}» действует ещё {days} дн. Выпустите новый и передайте его: "
        "dozor account token.",
        "en": "⚠ The token of the portal «{name}» ends in {days} days. Make a new one and give it: "
        "dozor account token.",
    },
}


def trouble(kind: str, name: str, detail: Mapping[str, object], lang: str) -> str:
    """What ops hear of a connection."""
    said = {key: spoken(v, lang) if isinstance(v, str) else v for key, v in detail.items()}
    return _TROUBLE[kind][lang].format(name=name, **said).strip()
