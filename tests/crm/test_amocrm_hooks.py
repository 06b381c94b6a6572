"""amoCRM hooks beyond the published samples: rare actions, odd shapes, what is left alone."""

import pytest

from service.crm import ADAPTERS
from service.domain.facts import Fact, Kind, Touched
from service.domain.ports import Connection, Decoded, RawHook
from service.errors import PayloadNotUnderstood

RECEIVED = 1_800_000_000
PORTAL = Connection(
    "romashka", "https://x.example", "Europe/Moscow", "RUB", external_id="5", subdomain="demo"
)
OWN = "account[id]=5&account[subdomain]=demo&"


def decode(body: str) -> Decoded:
    return ADAPTERS["amocrm"].decode(RawHook(body.encode(), "", RECEIVED), PORTAL)


def entity(path: str, **given: object) -> str:
    return OWN + "&".join(f"{path}[{name}]={value}" for name, value in given.items())


def only(found: Decoded) -> Fact:
    (fact,) = found.facts
    return fact


def lead(action: str = "update", **given: object) -> Fact:
    values = {"id": 9, "updated_at": 1_700_000_000, "status_id": 142, "pipeline_id": 31}
    return only(decode(entity(f"leads[{action}][0]", **values | given)))


def test_restored_lead_is_an_image_that_is_not_deleted() -> None:
    body = lead("restore").body
    assert (body["restored"], body["deleted"], body["stage"]) == (True, False, "142")


def test_lead_without_new_time_fields_stands_at_its_old_ones() -> None:
    values = {"last_modified": 1_600_000_000, "date_create": 1_500_000_000}
    fact = only(decode(entity("leads[update][0]", id=9, **values)))
    assert (fact.at, fact.body["created_at"]) == (1_600_000_000, 1_500_000_000)


def test_lead_without_custom_fields_has_them_empty() -> None:
    assert lead().body["fields"] == {}
    assert lead().body["tags"] == []
    assert "amount" not in lead().body


@pytest.mark.parametrize(
    ("price", "amount"), [("", 0), ("0", 0), ("1500", 150_000), ("10.5", 1050), ("x", 0)]
)
def test_price_is_in_minor_units(price: str, amount: int) -> None:
    assert lead(price=price).body["amount"] == amount


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("[values][0][value]=%D0%B0&{}[values][1][value]=b", "а, b"),
        ("[values][value]=one&{}[values][enum]=4", "one"),
        ("[values][0]=1729717200", "1729717200"),
        ("[values][0][value]=%2B79990000000&{}[code]=PHONE", "1"),
        ("[values][0][value]=", None),
        ("[values]=", None),
    ],
)
def test_custom_field_in_each_shape(values: str, told: str | None) -> None:
    path = "leads[update][0][custom_fields][0]"
    body = entity("leads[update][0]", id=9, updated_at=1) + f"&{path}[id]=7&{path}"
    fields = only(decode(body + values.format(path))).body["fields"]
    assert fields == ({} if told is None else {"7": told})


def test_several_entities_and_actions_in_one_body_are_all_read() -> None:
    body = "&".join(
        [
            entity("leads[status][0]", id=1, updated_at=100),
            entity("leads[update][4]", id=2, updated_at=200),
            entity("task[add][0]", id=3, updated_at=300),
            entity("contacts[update][0]", id=4, updated_at=400, type="company"),
        ]
    )
    found = decode(body)
    assert {(f.kind, f.id, f.at) for f in found.facts} == {
        (Kind.DEAL, "1", 100), (Kind.DEAL, "2", 200), (Kind.TASK, "3", 300),
        (Kind.CONTACT, "co4", 400),
    }  # fmt: skip
    assert found.touched == [Touched(Kind.DEAL, "2"), Touched(Kind.DEAL, "1")]


def test_digital_pipeline_body_only_touches_its_deal() -> None:
    for action in ("status", "add", "mail_in", "call_in", "chat"):
        found = decode(entity(f"leads[{action}][0]", id=9, status_id=1, pipeline_id=2))
        assert (found.facts, found.touched) == ([], [Touched(Kind.DEAL, "9")])


def test_deletion_as_the_vendors_prose_writes_it() -> None:
    fact = only(decode(OWN + "task[delete]=77"))
    assert (fact.kind, fact.id, fact.at, fact.body) == (
        Kind.TASK,
        "77",
        RECEIVED,
        {"deleted": True},
    )


def task(**given: object) -> Fact:
    values = {"id": 9, "updated_at": 1_700_000_000, "element_type": 2, "element_id": 5}
    return only(decode(entity("task[update][0]", **values | given)))


@pytest.mark.parametrize(
    ("given", "is_open"),
    [
        ({"status": 0}, True), ({"status": 1, "action_close": 0}, False),
        ({"status": 0, "action_close": 1}, False), ({"action_close": 1}, False), ({}, None),
    ],
)  # fmt: skip
def test_task_is_closed_by_status_or_by_this_very_hook(
    given: dict[str, int], is_open: bool | None
) -> None:
    assert task(**given).body.get("is_open") is is_open


@pytest.mark.parametrize(
    ("kind", "deal", "contact"), [(1, None, "5"), (2, "5", None), (3, None, None), (12, None, None)]
)
def test_task_hangs_on_what_its_element_type_says(
    kind: int, deal: str | None, contact: str | None
) -> None:
    body = task(element_type=kind).body
    assert (body["deal"], body.get("contact")) == (deal, contact)


@pytest.mark.parametrize(
    ("given", "due"),
    [
        ({"complete_before": 1_700_000_500, "complete_till": "2020-01-01 00:00:00"}, 1_700_000_500),
        ({"complete_till": "2024-09-17 13:07:29"}, 1_726_578_449),
        ({"complete_till": 1_726_578_449}, 1_726_578_449),
        ({"complete_till": "tomorrow"}, None),
        ({}, None),
    ],
)
def test_deadline_in_each_form(given: dict[str, object], due: int | None) -> None:
    assert task(**given).body.get("due_at") == due


def test_whole_day_task_is_known_by_its_last_local_minute() -> None:
    assert task(complete_before=1_740_776_340).body["is_all_day"] is True  # 23:59:00 in Moscow
    assert task(complete_before=1_740_776_341).body["is_all_day"] is False


def note(path: str = "leads[note][0]", **given: object) -> Decoded:
    values = {"id": 8, "element_id": 5, "created_at": 1_700_000_000, "created_by": 7}
    return decode(entity(f"{path}[note]", **values | given))


def test_ringing_looks_like_a_talk_until_rest_tells_better() -> None:
    found = note(note_type=10, element_type=2, text='{"DURATION":"40","UNIQ":"u"}')
    call = only(found)
    assert (call.body["answered"], call.body["seconds"], call.body["uniq"]) == (True, 40, "u")
    assert found.touched == [Touched(Kind.CALL, "c8")]


def test_call_without_seconds_is_missed_and_needs_no_question() -> None:
    found = note(note_type=11, element_type=1, text='{"DURATION":null,"LINK":null}')
    assert only(found).body["answered"] is False
    assert only(found).body["contact"] == "5"
    assert found.touched == []


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("leads[note][0]", {"deal": "5"}),
        ("contacts[note][0]", {"deal": None, "contact": "5"}),
        ("companies[note][0]", {"deal": None, "contact": "co5"}),
    ],
)
def test_note_without_its_element_type_hangs_where_it_stands(
    path: str, told: dict[str, str | None]
) -> None:
    body = only(note(path, note_type=4, text="клиент думает")).body
    assert {name: body.get(name) for name in told} == told
    assert body["text"] == "клиент думает"


def test_service_message_is_left_alone_by_name() -> None:
    found = note(note_type=25, element_type=2, text="x")
    assert (found.facts, found.ignored) == ([], "leads[note]")


def test_declined_inquiry_has_no_deal() -> None:
    path = "unsorted[delete][0]"
    body = entity(path, uid="u1", action="decline", category="forms", created_at=1_700_000_000)
    fact = only(decode(body + f"&{path}[decline_result][leads][0]=5"))
    assert (fact.body["state"], fact.body.get("deal"), fact.at) == ("declined", None, RECEIVED)


def test_inquiry_accepted_into_two_deals_tells_both() -> None:
    path = "unsorted[delete][0]"
    body = entity(path, uid="u1", action="accept", created_at=1_700_000_000)
    found = decode(body + f"&{path}[accept_result][leads][0]=5&{path}[accept_result][leads][1]=6")
    deals = [fact for fact in found.facts if fact.kind is Kind.DEAL]
    assert [fact.id for fact in deals] == ["5", "6"]
    assert deals[0].body == {
        "inquiry": "u1", "accepted_at": RECEIVED, "inquired_at": 1_700_000_000
    }  # fmt: skip
    assert found.touched == [Touched(Kind.DEAL, "5"), Touched(Kind.DEAL, "6")]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("talk[add][0][talk_id]=1", "talk"),
        ("message[add][0][id]=1&catalogs[add][0][id]=2", "catalogs,message"),
        ("customers[add][0][id]=1", "customers"),
        ("something_new[add][0][id]=1", "something_new"),
    ],
)
def test_entity_without_use_is_named_and_not_parked(body: str, name: str) -> None:
    assert decode(OWN + body) == Decoded(ignored=name)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (OWN + "leads[add][0][name]=x", "cut"),
        (OWN.rstrip("&"), "not_a_hook"),
        ("x=1", "not_a_hook"),
        ("account[id]=6&leads[add][0][id]=1", "foreign_account"),
        ("account[subdomain]=other&leads[add][0][id]=1", "foreign_account"),
    ],
)
def test_body_without_an_entity_of_ours_is_parked(body: str, reason: str) -> None:
    with pytest.raises(PayloadNotUnderstood) as caught:
        decode(body)
    assert caught.value.reason == reason


def test_account_inside_an_entity_is_not_looked_at() -> None:
    assert decode("leads[add][0][id]=1&leads[add][0][account_id]=6").touched


def test_scalar_and_map_at_one_place_are_both_survived() -> None:
    path = "leads[note][0][note]"
    for body in (
        f"{path}[type]=3&{path}[type][message_uuid]=u&",
        f"{path}[type][message_uuid]=u&{path}[type]=3&",
    ):
        values = f"{path}[id]=8&{path}[note_type]=4&{path}[element_type]=2&{path}[element_id]=5"
        assert only(decode(OWN + body + values)).body["deal"] == "5"
