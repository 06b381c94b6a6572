"""What attributes are called where people read the proof of a violation."""

from collections.abc import Mapping

Words = Mapping[str, tuple[str, str]]  # Russian, English

_DEAL: Words = {
    "is_open": ("сделка открыта", "the deal is open"),
    "is_won": ("сделка выиграна", "the deal is won"),
    "is_lost": ("сделка проиграна", "the deal is lost"),
    "pipeline": ("воронка", "pipeline"),
    "stage": ("этап", "stage"),
    "stage_no": ("номер этапа", "number of the stage"),
    "stages": ("всего этапов", "stages in all"),
    "is_late": ("поздний этап", "a late stage"),
    "is_hot": ("горячая", "hot"),
    "tags": ("теги", "tags"),
    "amount": ("сумма", "amount"),
    "amount_peak_late": ("наибольшая сумма на поздних этапах", "highest amount in late stages"),
    "currency": ("валюта", "currency"),
    "name": ("название", "title"),
    "name_is_default": ("название не говорит, чья сделка", "the title names no client"),
    "created_at": ("создана", "created"),
    "created_by_human": ("создана человеком", "made by a person"),
    "closed_at": ("закрыта", "closed"),
    "stage_entered_at": ("на этапе с", "in the stage since"),
    "previous_stage_no": ("номер прежнего этапа", "number of the stage before"),
    "last_move": ("последний переход", "last move"),
    "skipped_stages": ("пропущенные этапы", "stages left out"),
    "stage_asks_note": ("этап требует комментария", "the stage asks for a comment"),
    "stage_note_at": ("комментарий к этапу", "comment on the stage"),
    "reopened_at": ("открыта снова", "reopened"),
    "won_before": ("была выиграна", "had been won"),
    "reopened_past_month": ("закрыта в прошлом месяце или раньше", "closed in a month now over"),
    "reopens": ("открывали снова, раз", "times reopened"),
    "responsible": ("ответственный", "responsible"),
    "handovers_recent": ("передач за 14 дней", "hand-overs in 14 days"),
    "responsible_since": ("ответственный с", "responsible since"),
    "responsible_known": ("ответственный есть в CRM", "the responsible is known to the CRM"),
    "responsible_active": ("ответственный работает", "the responsible works here"),
    "absent_since": ("ответственный отсутствует с", "the responsible is away since"),
    "due_in_absence_at": ("срок задачи в его отсутствие", "a task due while he is away"),
    "waits_in_absence_at": ("в его отсутствие сделка ждёт с", "waits while he is away since"),
    "source": ("источник", "source"),
    "loss_reason": ("причина отказа", "loss reason"),
    "loss_is_spam": ("проиграна как «не наш клиент»", "lost as not our client"),
    "loss_is_other": ("причина отказа — «другое»", 'the loss reason is "other"'),
    "was_hot_at_close": ("была горячей при закрытии", "was hot when it was closed"),
    "expected_close_on": ("ожидаемое закрытие, до", "expected to close by"),
    "close_date_is_default": ("дату поставил сам Битрикс24", "Bitrix24 set the date by itself"),
    "close_date_pushes": ("переносов даты закрытия", "times the closing date was pushed"),
    "has_contact": ("контакт привязан", "a contact is linked"),
    "has_company": ("компания привязана", "a company is linked"),
    "client_known": ("контакты известны", "the contacts are known"),
    "has_phone": ("телефон известен", "a phone is known"),
    "has_email": ("почта известна", "an e-mail is known"),
    "missing_fields": ("не заполнено", "not filled in"),
    "junk_fields": ("заполнено для вида", "filled with nothing"),
    "open_tasks": ("открытых задач", "open tasks"),
    "next_due_at": ("ближайший срок задачи", "nearest deadline"),
    "next_due_set_at": ("ближайший срок поставлен", "nearest deadline was set"),
    "last_due_at": ("самый поздний срок задачи", "latest deadline"),
    "last_task_closed_at": ("последняя задача закрыта", "last task was closed"),
    "first_attempt_at": ("первая попытка связаться", "first attempt to reach the client"),
    "first_talk_at": ("первый разговор", "first talk"),
    "last_contact_at": ("последний контакт", "last contact"),
    "last_talk_at": ("последний разговор", "last talk"),
    "last_activity_at": ("последнее действие", "last activity"),
    "attempts": ("попыток связаться", "attempts to reach the client"),
    "talks": ("разговоров", "talks"),
    "attempts_since_talk": ("попыток после разговора", "attempts since the last talk"),
    "first_attempt_since_talk_at": ("первая из этих попыток", "the first of these attempts"),
    "missed_call_at": ("пропущенный звонок", "missed call"),
    "unanswered_since": ("клиент ждёт ответа с", "the client waits for an answer since"),
    "notes": ("примечаний", "notes"),
    "same_client_open_deals": ("других открытых сделок клиента", "other open deals of the client"),
    "same_client_other_seller": ("одна из них у другого", "another seller has one of them"),
    "same_client_first": ("самая старая из них", "the oldest of them"),
}
_TASK: Words = {
    "is_open": ("задача открыта", "the task is open"),
    "due_at": ("срок", "deadline"),
    "due_set_at": ("срок поставлен", "deadline was set"),
    "first_due_at": ("первый срок", "first deadline"),
    "postponements": ("переносов срока", "times postponed"),
    "last_postponed_at": ("последний перенос", "last postponed"),
    "is_all_day": ("на весь день", "for a whole day"),
    "kind": ("тип", "kind"),
    "text": ("текст", "text"),
    "text_is_meaningful": ("текст говорит, что делать", "the text says what to do"),
    "text_is_copied": ("текст скопирован с прошлой задачи", "the text is the last task's"),
    "created_at": ("поставлена", "set"),
    "created_by_human": ("поставлена человеком", "set by a person"),
    "closed_at": ("закрыта", "closed"),
    "closed_by_human": ("закрыта человеком", "closed by a person"),
    "trace_at": ("результат записан", "result was written"),
    "responsible": ("ответственный", "responsible"),
    "responsible_active": ("ответственный работает", "the responsible works here"),
    "on_deal": ("привязана к сделке", "hangs on a deal"),
    "deal_is_open": ("её сделка открыта", "its deal is open"),
    "deal_closed_at": ("её сделка закрыта", "its deal was closed"),
    "twin_open": ("открыта такая же задача", "the same task is open already"),
}
_CALL: Words = {
    "answered": ("разговор состоялся", "somebody talked"),
    "seconds": ("длительность, секунд", "duration, seconds"),
    "at": ("начало", "start"),
    "ended_at": ("конец", "end"),
    "trace_at": ("запись о звонке", "note on the call"),
    "trace_is_meaningful": ("запись содержательна", "the note says something"),
    "direction": ("направление", "direction"),
    "missed_without_deal": (
        "пропущен, открытой сделки у клиента нет",
        "missed, the client has no open deal",
    ),
    "returned_at": ("ответили клиенту", "the client was answered"),
    "seller": ("кто говорил", "who talked"),
}
_LEAD: Words = {
    "state": ("состояние", "state"),
    "category": ("откуда пришла", "came by"),
    "created_at": ("пришла", "came"),
    "taken_at": ("взята в работу", "taken"),
    "closed_at": ("разобрана", "sorted"),
    "responsible": ("ответственный", "responsible"),
    "source": ("источник", "source"),
    "first_attempt_at": ("первая попытка связаться", "first attempt to reach the client"),
    "attempts": ("попыток связаться", "attempts to reach the client"),
    "decline_reason": ("причина отклонения", "why it was declined"),
    "decline_is_spam": ("отклонена как «не наш клиент»", "declined as not our client"),
    "closed_by_robot": ("последним изменил робот", "the last change was a robot's"),
}
_SELLER: Words = {
    "is_active": ("работает", "works here"),
    "is_judged": ("оценивается", "is judged"),
    "limit": ("лимит", "limit"),
    "limit_open_tasks": ("лимит открытых задач", "limit of open tasks"),
    "limit_due_today": ("лимит задач на день", "limit of tasks due in a day"),
    "limit_overdue_tasks": ("лимит просроченных задач", "limit of overdue tasks"),
    "limit_hot_deals": ("лимит горячих сделок", "limit of hot deals"),
    "limit_in_pipeline": ("лимит сделок в воронке", "limit of deals in the pipeline"),
    "level": ("уровень", "level"),
    "open_deals": ("открытых сделок", "open deals"),
    "last_action_at": ("последнее действие в CRM", "last action in the CRM"),
    "work_start_at": ("начало рабочего дня", "beginning of the working day"),
}
_TEAM: Words = {
    "level": ("уровень", "level"),
    "present": ("на месте", "present"),
    "fullest": ("загрузка самого занятого, %", "load of the fullest, %"),
    "emptiest": ("загрузка самого свободного, %", "load of the emptiest, %"),
}
_ACCOUNT: Words = {
    "level": ("уровень", "level"),
    "source": ("источник", "source"),
    "recent": ("обращений за последнее время", "inquiries of late"),
    "last_inquiry_at": ("последнее обращение", "last inquiry"),
    "last_fact_at": ("последние данные из CRM", "last heard from the CRM"),
}
_KINDS = {
    "deal": _DEAL, "task": _TASK, "call": _CALL, "lead": _LEAD, "seller": _SELLER, "team": _TEAM,
    "account": _ACCOUNT,
}  # fmt: skip
NAMES: Words = {
    f"{kind}.{name}": words for kind, known in _KINDS.items() for name, words in known.items()
}
COUNTED: Words = {
    "seller.count": ("факт", "actual"),
    "seller.norm": ("норма", "norm"),
    "account.limit": ("лимит", "limit"),
    "seller.minutes": ("задачи дня займут, минут", "minutes that the day's tasks take"),
    "seller.working_minutes": ("рабочих минут в этом дне", "working minutes of that day"),
}
"""What rules on norms, days and levels tell beside the attributes that conditions may use."""
VALUES: Mapping[str, tuple[str, str]] = {
    "forward": ("вперёд", "forward"),
    "back": ("назад", "back"),
    "none": ("не было", "none"),
    "in": ("входящий", "incoming"),
    "out": ("исходящий", "outgoing"),
    "new": ("новая", "new"),
    "in_work": ("в работе", "in work"),
    "accepted": ("принята", "accepted"),
    "declined": ("отклонена", "declined"),
    "processed": ("обработана", "processed"),
}
"""Values of `deal.last_move`, `call.direction` and `lead.state`."""


def attribute_name(name: str, lang: str) -> str:
    """An attribute's name for people; one that is gone keeps the name of conditions."""
    words = NAMES.get(name) or COUNTED.get(name)
    return name if words is None else words[lang == "en"]
