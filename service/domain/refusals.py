"""What portals and settings are refused with, for readers of Russian.

Errors are raised in English (for logs and the API). Where a person reads one in Russian, its
sentence is recognised here and said anew; {} stands for what differs. A test holds every sentence
of the adapters against this list.
"""

import re
from functools import cache

_RUSSIAN: dict[str, str] = {
    # the address and the network
    "{} does not answer ({})": "{} не отвечает ({})",
    "{} does not answer": "{} не отвечает",
    "{} redirects; check --base-url": "{} перенаправляет; проверьте --base-url",
    "{} asks to slow down": "{} просит слать запросы реже",
    "{} asked for a pause": "{} просит паузу",
    "{}: an answer of over 20 MiB": "{}: ответ больше 20 МиБ",
    "{}: the portal's answer is not as expected ({})": (
        "{}: портал ответил не так, как ожидалось ({})"
    ),
    "the portal answered something that is no JSON": "портал ответил не JSON",
    "the portal answered no JSON object": "портал ответил не объектом JSON",
    "the portal answered {} and something that is no JSON": "портал ответил {}, и это не JSON",
    "the portal answered {}; check --base-url": "портал ответил {}; проверьте --base-url",
    "the portal answered {} when asked for tokens": "на запрос токенов портал ответил {}",
    "the portal answered {}: {}": "портал ответил {}: {}",
    "the portal answered {}": "портал ответил {}",
    "the portal has moved to {}": "портал переехал на {}",
    "the portal asks to slow down": "портал просит слать запросы реже",
    "the portal blocks requests from here; ask its support": (
        "портал заблокировал запросы с этого адреса; напишите в его поддержку"
    ),
    "the method's time on the portal is used up": "время метода на портале исчерпано",
    "the portal has no such method: {}": "на портале нет такого метода: {}",
    # tokens, rights, plan
    "the token is not (or no longer) valid; make a new one: --token": (
        "токен недействителен; выпустите новый: --token"
    ),
    "the token lacks a right for this; take an administrator's token": (
        "у токена нет на это права; возьмите токен администратора"
    ),
    "the portal's plan is not paid: reading is closed": "тариф портала не оплачен: чтение закрыто",
    "the incoming webhook is deleted, expired or wrong; make a new one: --token": (
        "входящий вебхук удалён, истёк или указан неверно; создайте новый: --token"
    ),
    "the incoming webhook is not valid; make a new one: --token": (
        "входящий вебхук недействителен; создайте новый: --token"
    ),
    "the token has expired; connect the portal again": "токен истёк; подключите портал заново",
    "the webhook lacks a right (scopes crm, task, user, telephony)": (
        "вебхуку не хватает прав (crm, task, user, telephony)"
    ),
    "the portal's plan or the webhook's rights do not allow this": (
        "тариф портала или права вебхука этого не позволяют"
    ),
    "the portal is closed": "портал закрыт",
    "the portal is blocked by its vendor for too many requests": (
        "вендор заблокировал портал за слишком частые запросы"
    ),
    # OAuth
    "the portal is not authorised yet; run: {}": "доступ к порталу ещё не выдан; выполните: {}",
    "the portal does not renew Dozor's access (withdrawn, unused for too long, or an answer was "
    "lost); authorise it again: {}": (
        "портал не продлевает доступ Дозора (отозван, слишком долго не использовался или ответ "
        "потерялся); выдайте его снова: {}"
    ),
    "the portal does not take the code (it is good once, for 20 minutes); check client id, client "
    "secret and the redirect address, and authorise again: {}": (
        "портал не принял код (он одноразовый и живёт 20 минут); проверьте ID интеграции, "
        "секретный ключ и адрес перенаправления и выдайте доступ снова: {}"
    ),
    "{} was authorised, but the account is for {}; authorise the right portal": (
        "доступ выдал {}, а подключается {}; выдайте доступ на нужном портале"
    ),
    "the portal was not authorised: {}": "доступ к порталу не выдан: {}",
    "no code came": "код не пришёл",
    "the portal's answer has no tokens": "в ответе портала нет токенов",
    "the portal sent neither a code nor a refresh token": (
        "портал не прислал ни кода, ни токена обновления"
    ),
    "the application was installed on {}, but the account is for {}; install it on the right "
    "portal": (
        "приложение установлено на {}, а подключается {}; установите его на нужный портал"
    ),
    "another portal answered; {}": "ответил другой портал; {}",
    "{} (the server said {})": "{} (сервер ответил {})",
    "the portal's plan or rights do not allow the application: {}": (
        "тариф портала или права не позволяют приложение: {}"
    ),
    "the authorisation server answered {} and something that is no JSON": (
        "сервер авторизации ответил {}, и это не JSON"
    ),
    "the authorisation server answered {} without tokens": (
        "сервер авторизации ответил {} без токенов"
    ),
    "another process is renewing the access to the portal": (
        "доступ к порталу сейчас продлевает другой процесс"
    ),
    "state: this invitation is unknown or older than an hour; take a new one": (
        "приглашение неизвестно или старше часа; возьмите новое"
    ),
    "state: this invitation is for {}": "это приглашение для {}",
    "the portal did not tell the payments of an invoice": "портал не отдал оплаты счёта",
    # hooks and writing
    "the portal did not take the hook; add it by hand: settings -> WebHooks": (
        "портал не принял хук; добавьте его вручную: Настройки -> WebHooks"
    ),
    "the portal did not bind {}; give the application the scopes crm, task, user and telephony and "
    "install it again": (
        "портал не подписал {}; дайте приложению права crm, task, user и telephony и установите "
        "его снова"
    ),
    "Bitrix24 lets only applications subscribe over the API; in the portal open Applications -> "
    "Developer resources -> Other -> Outgoing webhook, paste the hook address, choose the events "
    "of deals, leads, contacts, companies, activities, tasks, calls, timeline comments and smart "
    "process items (invoices), and give its token with: {}": (
        "Битрикс24 разрешает подписку через API только приложениям; откройте на портале Приложения "
        "-> Разработчикам -> Другое -> Исходящий вебхук, вставьте адрес хука, выберите события "
        "сделок, лидов, контактов, компаний, дел, задач, звонков, комментариев и элементов "
        "смарт-процессов (счета) и передайте его токен: {}"
    ),
    "this CRM has no REST that Dozor knows; post facts to the hook address": (
        "у этой CRM нет REST, известного Дозору; присылайте факты на адрес хука"
    ),
    "{} has no {} to write": "{}: нельзя записать {}",
    "{} does not take it ({}): {}": "{} не принимает запись ({}): {}",
    "{} does not take it: {}": "{} не принимает запись: {}",
    # settings
    "{}: the portal has no {} {}; near ones: {}": "{}: на портале нет {} {}; похожие: {}",
    "{}: the portal has no {} {}": "{}: на портале нет {} {}",
    "{}: several {}s are called {}; give the id ({})": (
        "{}: «{}» с названием {} несколько; укажите id ({})"
    ),
    # words
    "on": "включён",
    "off": "выключен",
    "missing": "не найден",
    "unknown": "неизвестно",
    "seller": "сотрудника",
    "team": "команды",
    "pipeline": "воронки",
    "stage": "этапа",
    "field": "поля",
    "loss reason": "причины отказа",
}  # fmt: skip


def spoken(sentence: str, lang: str) -> str:
    """The sentence in a language; one that nobody knows stays as it is.

    >>> spoken("the portal answered 502", "ru")
    'портал ответил 502'
    """
    return _russian(sentence) if lang == "ru" else sentence


def is_known(template: str) -> bool:
    """Whether a sentence with {} for what differs has a Russian one."""
    return any(pattern.fullmatch(template) for pattern, _ in _patterns())


def _russian(sentence: str) -> str:
    for pattern, said in _patterns():
        found = pattern.fullmatch(sentence)
        if found is not None:
            return said.format(*(_russian(part) for part in found.groups()))
    return sentence


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Longest first: the most particular sentence speaks."""
    ordered = sorted(_RUSSIAN, key=lambda text: -len(text.replace("{}", "")))
    return [
        (re.compile(re.escape(text).replace(r"\{\}", "(.+?)"), re.DOTALL), _RUSSIAN[text])
        for text in ordered
    ]
