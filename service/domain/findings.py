"""What `dozor account check` says, in Russian and English: what was looked at, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from service.domain.refusals import spoken


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `ok`, and the values that its sentences name."""

    check: str  # key of the catalogue
    ok: bool
    values: Mapping[str, object] = field(default_factory=dict)

    def told(self, lang: str) -> "Told":
        """The sentences; advice only where something is to be done."""
        known = _Known(
            {
                name: spoken(str(value), lang) if name in _SENTENCES else value
                for name, value in self.values.items()
            }
        )
        said = _SAID[self.check][lang]
        good, bad, advice = (text.format_map(known) for text in said[1:])
        return Told(
            self.check, self.ok, said[0].format_map(known), good if self.ok else bad,
            "" if self.ok else advice,
        )  # fmt: skip


_SENTENCES = {"error", "state"}


class _Known(dict[str, object]):
    """What is not told is named by a word for it, in capitals, as commands do."""

    def __missing__(self, name: str) -> str:
        return name.upper()


class Told(NamedTuple):
    """A finding in words."""

    check: str
    ok: bool
    title: str
    detail: str
    advice: str


class _Said(NamedTuple):
    title: str
    good: str
    bad: str
    advice: str


_SAID: dict[str, dict[str, _Said]] = {
    "portal": {
        "ru": _Said(
            "портал отвечает", "{name}", "{error}",
            "Проверьте адрес портала и токен; новый токен: dozor account token {account} TOKEN",
        ),
        "en": _Said(
            "portal answers", "{name}", "{error}",
            "Check the portal's address and the token; a new one: dozor account token {account} "
            "TOKEN",
        ),
    },
    "authorised": {
        "ru": _Said(
            "доступ по OAuth", "выдан и обновляется сам", "{error}",
            "Откройте приглашение под администратором: dozor account authorise {account}",
        ),
        "en": _Said(
            "access by OAuth", "granted, renews itself", "{error}",
            "Open the invitation as an administrator: dozor account authorise {account}",
        ),
    },
    "token_lasts": {
        "ru": _Said(
            "срок токена", "ещё {days} дн.", "осталось {days} дн.",
            "Выпустите новый токен и передайте: dozor account token {account} TOKEN",
        ),
        "en": _Said(
            "token's life", "{days} days left", "only {days} days left",
            "Make a new token and give it: dozor account token {account} TOKEN",
        ),
    },
    "users": {
        "ru": _Said(
            "сотрудники видны", "список читается", "список сотрудников закрыт",
            "Выпустите токен под администратором портала.",
        ),
        "en": _Said(
            "users readable", "the list can be read", "the list of users is closed",
            "Give Dozor a token of an administrator.",
        ),
    },
    "administrator": {
        "ru": _Said(
            "права администратора", "вебхук видит всё", "вебхук создан не администратором",
            "Создайте входящий вебхук под администратором: иначе видны не все сделки и задачи.",
        ),
        "en": _Said(
            "administrator", "the webhook sees everything", "not made by an administrator",
            "Make the incoming webhook as an administrator, else some deals and tasks are unseen.",
        ),
    },
    "scope": {
        "ru": _Said(
            "право {scope}", "есть", "нет",
            "Добавьте право {scope} входящему вебхуку (приложению).",
        ),
        "en": _Said(
            "scope {scope}", "given", "missing",
            "Add the scope {scope} to the incoming webhook (application).",
        ),
    },
    "application_token": {
        "ru": _Said(
            "токен исходящего вебхука", "известен", "не указан: события ждут разбора",
            "Скопируйте его из портала: dozor account application-token {account} TOKEN",
        ),
        "en": _Said(
            "application token", "known", "not given: events are parked",
            "Copy it from the portal: dozor account application-token {account} TOKEN",
        ),
    },
    "hook": {
        "ru": _Said(
            "хук подписан", "включён", "портал говорит: {state}",
            "Подпишите снова: dozor account subscribe {account}; или вручную: Настройки -> "
            "WebHooks, адрес {url}",
        ),
        "en": _Said(
            "hook registered", "switched on", "the portal says: {state}",
            "Subscribe again: dozor account subscribe {account}; or by hand: settings -> WebHooks, "
            "address {url}",
        ),
    },
    "hook_by_hand": {
        "ru": _Said(
            "хук подписан", "портал не сообщает; смотрите, приходят ли события",
            "портал не сообщает", "",
        ),
        "en": _Said(
            "hook registered", "the portal does not tell; see whether events arrive",
            "the portal does not tell", "",
        ),
    },
    "history": {
        "ru": _Said(
            "история прочитана", "до конца", "ещё не до конца: до этого оповещений нет",
            "Прочитайте её: dozor backfill {account}",
        ),
        "en": _Said(
            "history read", "to its end", "not to its end yet: until then nothing is alerted",
            "Read it: dozor backfill {account}",
        ),
    },
    "heard": {
        "ru": _Said(
            "события приходят", "последнее {seconds} с назад", "ещё ни одного",
            "Измените любую сделку в CRM. Не пришло за минуту: проверьте, что адрес {url} "
            "открыт из интернета и указан в CRM.",
        ),
        "en": _Said(
            "hook arrived", "the last one {seconds} s ago", "none yet",
            "Change a deal in the CRM. If nothing comes in a minute, check that {url} is reachable "
            "from the internet and entered in the CRM.",
        ),
    },
    "clock": {
        "ru": _Said(
            "часы совпадают", "разница {seconds} с", "разница {seconds} с",
            "Включите NTP на этой машине: сроки считаются по её часам.",
        ),
        "en": _Said(
            "clocks agree", "{seconds} s apart", "{seconds} s apart",
            "Switch NTP on for this machine: deadlines are counted by its clock.",
        ),
    },
    "limit": {
        "ru": _Said(
            "лимит запросов", "свободно {percent} %", "портал просит подождать",
            "Подождите: Дозор продолжит сам. Если так всегда, другие интеграции занимают лимит.",
        ),
        "en": _Said(
            "rate limit", "{percent} % free", "the portal asks for a pause",
            "Wait: Dozor goes on by itself. If it is always so, other integrations use the limit "
            "up.",
        ),
    },
    "settings": {
        "ru": _Said(
            "настройки", "имена в настройках известны порталу", "{error}",
            "До исправления это не действует: поправьте и выполните dozor account apply FILE",
        ),
        "en": _Said(
            "settings", "the portal knows all names", "{error}",
            "It is ignored until then: mend the settings and run dozor account apply FILE",
        ),
    },
    "pushed": {
        "ru": _Said("данные присылают", "REST у этой CRM нет", "", ""),
        "en": _Said("facts are posted", "this CRM has no REST", "", ""),
    },
}  # fmt: skip
CHECKS = frozenset(_SAID)
