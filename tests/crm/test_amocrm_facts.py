"""amoCRM's published rows and events become facts."""

from typing import Any

import pytest

from service.crm.amocrm import events, hook_facts, rest_facts
from service.crm.amocrm.beginnings import Beginnings
from service.domain.clientkeys import client_keys
from service.domain.facts import Fact, Kind, Rank
from tests.crm.amocrm_rows import event, lead, rest

# --- images -----------------------------------------------------------------------------------


def test_leads_of_the_published_page() -> None:
    rows = rest("leads-page")["_embedded"]["leads"]
    for row in rows:
        image, *closing = rest_facts.deal(row, "RUB")
        assert (image.id, image.at) == (str(row["id"]), row["updated_at"])
        assert image.body["amount"] == row["price"] * 100
        assert image.body["stage"] == str(row["status_id"])
        assert [fact.at for fact in closing] == (
            [row["closed_at"]] if row["closed_at"] and row["closed_at"] < row["updated_at"] else []
        )


def test_closed_lead_says_when_it_was_closed() -> None:
    image, closing = rest_facts.deal(lead(), "RUB")
    assert image.body["amount"] == 0
    assert "contacts" not in image.body
    assert closing == Fact(
        Kind.DEAL, "5", 1_700_001_000, {"pipeline": "31", "stage": "142"}, Rank.HISTORY
    )


def test_open_lead_says_nothing_of_a_closing() -> None:
    assert len(rest_facts.deal(lead(status_id=311), "RUB")) == 1


def test_exact_price_wins_and_has_kopecks() -> None:
    (image, _) = rest_facts.deal(lead(price=1000, price_with_minor_units=1000.55), "RUB")
    assert image.body["amount"] == 100_055


def test_field_values_become_texts_and_reach_is_only_a_mark() -> None:
    fields = [
        {"field_id": 1, "field_code": None, "values": [{"value": "а"}, {"value": "б"}]},
        {"field_id": 2, "field_code": None, "values": [{"value": True}]},
        {"field_id": 3, "field_code": None, "values": [{"value": False}]},
        {"field_id": 4, "field_code": "PHONE", "values": [{"value": "+79990000000"}]},
        {"field_id": 5, "field_code": None, "values": [{"value": {"name": "ООО Роза"}}]},
        {"field_id": 6, "field_code": None, "values": [{"value": ""}]},
    ]
    (image, _) = rest_facts.deal(lead(custom_fields_values=fields), "RUB")
    assert image.body["fields"] == {"1": "а, б", "2": "1", "4": "1", "5": "ООО Роза"}


def test_task_of_the_published_page() -> None:
    (row,) = rest("tasks")["_embedded"]["tasks"]
    fact = rest_facts.task(row, "Europe/Moscow")
    assert (fact.id, fact.at) == ("894053", 1702556336)
    assert fact.body["deal"] == "1781381"
    assert (fact.body["is_open"], fact.body["result"]) == (True, None)
    assert (fact.body["due_at"], fact.body["is_all_day"]) == (1702640934, False)


def test_deadline_in_the_last_minute_of_the_local_day_is_all_day() -> None:
    (row,) = rest("tasks")["_embedded"]["tasks"]
    last_minute = 1_740_776_340  # 2025-02-28 23:59:00 in Moscow
    fact = rest_facts.task(row | {"complete_till": last_minute}, "Europe/Moscow")
    assert fact.body["is_all_day"]
    assert not rest_facts.task(row | {"complete_till": last_minute}, "UTC").body["is_all_day"]


def test_notes_of_the_published_page() -> None:
    rows = rest("notes")["_embedded"]["notes"]
    note, ringing, talk = (rest_facts.note(row, "leads") for row in rows)
    assert note is not None
    assert ringing is not None
    assert talk is not None
    assert (note.kind, note.id, note.body["text"]) == (Kind.NOTE, "42709325", "Текст примечания")
    assert (ringing.kind, ringing.id) == (Kind.CALL, "c42709400")
    assert (ringing.body["direction"], ringing.body["answered"]) == ("in", True)
    assert (talk.body["direction"], talk.body["seconds"]) == ("out", 60)
    assert talk.body["deal"] == "26050861"


@pytest.mark.parametrize(
    ("status", "duration", "answered"),
    [(6, 20, False), (4, 0, True), (None, 9, True), (None, 0, False)],
)
def test_call_status_outranks_duration(status: int | None, duration: int, answered: bool) -> None:
    row = rest("notes")["_embedded"]["notes"][1]
    params = {"duration": duration} | ({} if status is None else {"call_status": status})
    fact = rest_facts.note(row | {"params": params}, "contacts")
    assert fact is not None
    assert fact.body["answered"] is answered
    assert (fact.body["deal"], fact.body["contact"]) == (None, "26050861")


def test_unsorted_of_the_published_page() -> None:
    (row,) = rest("unsorted")["_embedded"]["unsorted"]
    secrets = {"client_key": "k"}
    fact = rest_facts.inquiry(row, secrets)
    assert (fact.kind, fact.at) == (Kind.LEAD, 1590830520)
    assert fact.body["keys"] == client_keys(secrets, [], [], ["583294"])
    assert "keys" not in rest_facts.inquiry(row, {}).body
    assert (fact.body["state"], fact.body["category"]) == ("new", "forms")


@pytest.mark.parametrize(("category", "metadata", "phones", "emails"), [
    ("sip", {"from": "+7 900 111-22-33", "phone": "+74950000001"}, ["79001112233"], []),
    ("mail", {"from": {"email": "A@Site.example", "name": "Анна"}}, [], ["a@site.example"]),
    ("forms", {"form_name": "Заявка", "phone": "8 900 111 22 33", "email": "b@site.example"},
     ["9001112233"], ["b@site.example"]),
    ("chats", None, [], []),
])  # fmt: skip
def test_an_inquiry_is_known_again_by_who_asked(
    category: str, metadata: Any, phones: list[str], emails: list[str]
) -> None:
    """The caller's number, not the one that was called; the values are not kept."""
    secrets = {"client_key": "k"}
    (row,) = rest("unsorted")["_embedded"]["unsorted"]
    told = row | {"category": category, "metadata": metadata, "_embedded": {}}
    fact = rest_facts.inquiry(told, secrets)
    assert fact.body["keys"] == client_keys(secrets, phones, emails)
    assert b"site.example" not in fact.packed()
    contact = {
        "0": {
            "id": "70",
            "custom_fields": {
                "0": {"id": "1", "code": "PHONE", "values": {"0": {"value": "+7 900 111-22-33"}}}
            },
        }
    }
    item = {"uid": "u", "category": category, "source_data": metadata,
            "data": {"contacts": contact}}  # fmt: skip
    (hooked,) = hook_facts.inquiry(item, "add", 1_700_000_000, secrets)
    expected = client_keys(secrets, [*phones, "9001112233"], emails, ["70"])
    assert hooked.body["keys"] == expected


# --- events -----------------------------------------------------------------------------------


def test_events_of_the_published_page() -> None:
    rows = rest("events")["_embedded"]["events"]
    read = [event for row in rows if (event := events.read(row, "RUB")) is not None]
    told = {(f.kind, f.at, *sorted(set(f.body) - {"author"})): f.body for f in events.facts(read)}
    assert told[Kind.DEAL, 1588890000, "pipeline", "stage"]["stage"] == "5233227"
    assert told[Kind.DEAL, 1588890000, "responsible"]["responsible"] == "504329"
    assert told[Kind.TASK, 1588890200, "due_at"]["due_at"] == 1573595900
    assert told[Kind.TASK, 1588890300, "is_open"] == {"is_open": False, "author": "939801"}
    assert told[Kind.DEAL, 1588890500, "amount", "currency"]["amount"] == 15500
    assert told[Kind.DEAL, 1588890600, "fields_changed"]["fields_changed"] == {"53728": "1"}
    assert len(told) == 6


def read_events(*rows: dict[str, Any]) -> list[events.Event]:
    return [found for row in rows if (found := events.read(row, "RUB")) is not None]


def test_changes_in_one_second_are_a_chain_whatever_their_ids() -> None:
    found = read_events(event(2, 100, 1, 2), event(1, 100, 2, 3))
    (fact,) = events.facts(found)
    assert fact.body["stage"] == "3"
    beginnings = Beginnings()
    beginnings.births(Kind.DEAL, [{"id": 5, "created_at": 50}])
    beginnings.note(reversed(found))
    ((first,),) = beginnings.facts(0)
    assert (first.at, first.body["stage"]) == (50, "1")


@pytest.mark.parametrize(("since", "at"), [(0, 50), (80, 80)])
def test_what_was_before_the_first_change_stands_at_the_creation_or_the_readings_start(
    since: int, at: int
) -> None:
    beginnings = Beginnings()
    beginnings.note(read_events(event(2, 200, 2, 3), event(1, 100, 1, 2)))
    assert list(beginnings.facts(since)) == []  # nobody knows when the deal was created
    assert list(beginnings.unborn(Kind.DEAL)) == [["5"]]
    beginnings.births(Kind.DEAL, [{"id": 5, "created_at": 50}])
    ((fact,),) = beginnings.facts(since)
    assert (fact.at, fact.body) == (at, {"pipeline": "31", "stage": "1"})


def field_event(number: int, at: int, before: list[Any], after: list[Any]) -> dict[str, Any]:
    def side(texts: list[Any]) -> list[Any]:
        value = {"field_id": 501, "field_type": 1, "enum_id": None}
        return [{"custom_field_value": value | {"text": text}} for text in texts]

    row = event(number, at, 0, 0) | {"value_before": side(before), "value_after": side(after)}
    return row | {"type": "custom_field_501_value_changed"}


def test_custom_field_has_a_history_of_its_own() -> None:
    filled = field_event(1, 100, [], ["7701"])
    emptied = field_event(2, 200, ["7701"], []) | {"type": "custom_field_value_changed"}
    other = field_event(3, 150, ["а"], ["б", "в"]) | {"type": "custom_field_502_value_changed"}
    found = read_events(emptied, event(4, 120, 1, 2), other, filled)
    told = {(f.at, *f.body["fields_changed"].items()): f.body["author"]
            for f in events.facts(found) if "fields_changed" in f.body}  # fmt: skip
    assert told == {
        (100, ("501", "7701")): "7", (200, ("501", "")): "7", (150, ("502", "б, в")): "7",
    }  # fmt: skip
    beginnings = Beginnings()
    beginnings.births(Kind.DEAL, [{"id": 5, "created_at": 50}])
    beginnings.note(found)
    (first,) = beginnings.facts(0)
    assert sorted(map(str, (fact.body.get("fields_changed") for fact in first))) == [
        "None", "{'501': ''}", "{'502': 'а'}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text", "kept"),
    [(1, "0", "0"), (3, "1", "1"), (3, "0", ""), (8, "+79990000000", "1"), (8, None, "")],
)
def test_of_a_phone_and_a_box_only_whether_there_is_one(kind: int, text: Any, kept: str) -> None:
    row = field_event(1, 100, [], [text])
    row["value_after"][0]["custom_field_value"]["field_type"] = kind
    (found,) = read_events(row)
    assert found.after == {"fields_changed": {"501": kept}}


@pytest.mark.parametrize("entity", ["contact", "company", "task"])
def test_custom_field_of_something_else_is_left_alone(entity: str) -> None:
    row = field_event(1, 100, [], ["7701"])
    assert events.read(row | {"entity_type": entity}, "RUB") is None
    assert events.read(field_event(1, 100, [], []) | {"type": events.FIELD}, "RUB") is None


def test_events_of_other_entities_are_left_alone() -> None:
    rows = rest("events")["_embedded"]["events"]
    other = next(row for row in rows if row["type"] == "entity_responsible_changed")
    assert events.read(other | {"entity_type": "contact"}, "RUB") is None
    fact = events.facts(read_events(other | {"entity_type": "task"}))[0]
    assert (fact.kind, fact.body["responsible"]) == (Kind.TASK, "504329")
