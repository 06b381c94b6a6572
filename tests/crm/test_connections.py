"""What an admin types to connect a portal, and the links for people."""

import pytest

from service.crm import ADAPTERS
from service.domain.ports import Connection, RawHook
from service.errors import ConfigError


@pytest.mark.parametrize(
    ("base_url", "secrets", "base", "clean"),
    [
        ("https://x.bitrix24.ru", {"token": "1/abc"}, "https://x.bitrix24.ru",
         {"user": "1", "token": "abc"}),
        ("https://x.bitrix24.ru/rest/12/abc/", {}, "https://x.bitrix24.ru",
         {"user": "12", "token": "abc"}),
        ("https://x.bitrix24.ru/rest/12/abc/profile.json", {"application_token": "t"},
         "https://x.bitrix24.ru", {"user": "12", "token": "abc", "application_token": "t"}),
        ("http://127.0.0.1:9001", {"token": "1/abc"}, "http://127.0.0.1:9001",
         {"user": "1", "token": "abc"}),
    ],
)  # fmt: skip
def test_bitrix24_takes_address_and_token_in_both_forms(
    base_url: str, secrets: dict[str, str], base: str, clean: dict[str, str]
) -> None:
    assert ADAPTERS["bitrix24"].parse_connection(base_url, secrets) == (base, clean)


def test_amocrm_takes_the_host_and_the_token() -> None:
    found = ADAPTERS["amocrm"].parse_connection("https://x.amocrm.ru/leads/", {"token": " t "})
    assert found == ("https://x.amocrm.ru", {"token": "t"})


@pytest.mark.parametrize("crm", sorted(ADAPTERS))
@pytest.mark.parametrize(
    "base_url", ["", "x.example", "ftp://x", "https://", "https://[", "https://u:p@x"]
)
def test_address_that_is_none_is_refused_by_name(crm: str, base_url: str) -> None:
    with pytest.raises(ConfigError, match="--base-url"):
        ADAPTERS[crm].parse_connection(base_url, {"token": "1/abc"})


@pytest.mark.parametrize(
    ("crm", "token"),
    [("amocrm", ""), ("amocrm", "a b"), ("amocrm", "t\nx"), ("bitrix24", ""), ("bitrix24", "abc")],
)
def test_token_that_is_none_is_refused_by_name(crm: str, token: str) -> None:
    with pytest.raises(ConfigError, match="--token"):
        ADAPTERS[crm].parse_connection("https://x.example", {"token": token})


def test_refusal_does_not_repeat_the_secret() -> None:
    with pytest.raises(ConfigError) as caught:
        ADAPTERS["bitrix24"].parse_connection("x.bitrix24.ru/rest/1/s3cret/", {})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("crm", "kind", "subject", "url"),
    [
        ("amocrm", "deal", "5", "https://x.example/leads/detail/5"),
        ("amocrm", "contact", "co7", "https://x.example/companies/detail/7"),
        ("amocrm", "task", "9", None),
        ("bitrix24", "deal", "5", "https://x.example/crm/deal/details/5/"),
        ("bitrix24", "contact", "co7", "https://x.example/crm/company/details/7/"),
        ("bitrix24", "lead", "7", "https://x.example/crm/lead/details/7/"),
        ("bitrix24", "task", "t9", None),
    ],
)
def test_page_for_people(crm: str, kind: str, subject: str, url: str | None) -> None:
    portal = Connection("a", "https://x.example", "UTC", "RUB")
    assert ADAPTERS[crm].subject_url(portal, kind, subject) == url


def test_bitrix24_body_of_another_member_is_not_admitted() -> None:
    portal = Connection(
        "b", "https://b.example", "UTC", "RUB", external_id="m1", secrets={"application_token": "t"}
    )
    own = b"event=X&auth[application_token]=t&auth[member_id]=m1"
    assert ADAPTERS["bitrix24"].admits(RawHook(own, "", 1), portal) == "yes"
    assert ADAPTERS["bitrix24"].admits(RawHook(own[:-1] + b"2", "", 1), portal) == "no"
