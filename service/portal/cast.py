"""Who works in the simulated department, on what, and what they write."""

from zoneinfo import ZoneInfo

from service.portal.book import Pipeline, Stage

ZONE = ZoneInfo("Europe/Moscow")
PIPELINES = {
    "amocrm": Pipeline(
        "31", "Продажи",
        (
            Stage("3101", "Неразобранное", 10, "incoming"),
            Stage("3110", "Новая", 20, "open"),
            Stage("3120", "КП отправлено", 30, "open"),
            Stage("3130", "Договор", 40, "open"),
            Stage("142", "Успешно реализовано", 10000, "won"),
            Stage("143", "Закрыто и не реализовано", 11000, "lost"),
        ),
    ),
    "bitrix24": Pipeline(
        "0", "Общая",
        (
            Stage("NEW", "Новая", 10, "open"),
            Stage("PREPARATION", "КП отправлено", 20, "open"),
            Stage("EXECUTING", "Договор", 30, "open"),
            Stage("WON", "Сделка успешна", 40, "won"),
            Stage("LOSE", "Сделка провалена", 50, "lost"),
        ),
    ),
}  # fmt: skip
SELLERS = ("Иванов Пётр", "Петрова Анна", "Сидоров Олег", "Кузнецова Мария", "Орлов Денис")
ADMIN, FIRST_SELLER, DROWNING = 5, 7, 9
INN = 501
REASONS = {1: "Дорого", 2: "Выбрали других", 3: "Спам"}
THINGS = ("Окна", "Балкон", "Двери", "Фасад", "Витраж", "Остекление", "Жалюзи", "Рольставни")
STREETS = ("Мира", "Ленина", "Садовая", "Лесная", "Гагарина", "Парковая", "Новая", "Заречная")
TASK_TEXTS = ("Перезвонить по КП", "Уточнить размеры у клиента", "Отправить договор на почту",
              "Согласовать дату замера", "Напомнить про оплату счёта")  # fmt: skip
NOTES = ("клиент просит скидку и замер в пятницу", "договорились созвониться после обеда",
         "ждут решения директора до конца недели",
         "отправил КП на почту, просят рассрочку")  # fmt: skip
