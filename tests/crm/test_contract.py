"""What every registered adapter owes the rest of Dozor, whatever its CRM."""

import random
from pathlib import Path

import pytest

from service.crm import ADAPTERS
from service.domain.ports import Connection, Decoded, HookState, Nudge, RawHook
from service.errors import ConfigError, PayloadNotUnderstood, SourceRejected, SourceUnavailable
from tests.crm.kit import HERE, SECRETS, patient

NOW = 1_772_434_800
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
NAMES = sorted(ADAPTERS)
BODIES = [
    b"", b"\x00", b"\xff\xfe\xfa", b"{", b"[]", b"null", b"a", b"a=", b"=a", b"a[b", b"a[b]=c",
    b"leads[status][0][", b"event=&data=", b"event=ONCRMDEALADD", b'{"facts": []}',
    b"[" * 5000, b"a[" * 500 + b"]=1", b"&".join(b"k%d=1" % n for n in range(10_000)),
    "имя=значение".encode(), "имя=значение".encode("cp1251"),
]  # fmt: skip


def connection(crm: str) -> Connection:
    secrets = dict(SECRETS.get(crm, {}))
    return Connection("romashka", "https://x.example", "Europe/Moscow", "RUB", secrets=secrets)


def understood(crm: str, body: bytes, content_type: str) -> Decoded | None:
    """What the adapter says; anything else than an answer or its own error is a fault."""
    raw = RawHook(body, content_type, NOW)
    assert ADAPTERS[crm].admits(raw, connection(crm)) in {"yes", "no", "hold"}
    try:
        return ADAPTERS[crm].decode(raw, connection(crm))
    except PayloadNotUnderstood as error:
        assert error.reason  # noqa: PT017 - either outcome is right
        return None


@pytest.mark.parametrize("crm", NAMES)
def test_name_is_the_registered_one_and_fits_an_address(crm: str) -> None:
    adapter = ADAPTERS[crm]
    assert adapter.name == crm
    assert crm.isidentifier()
    assert adapter.nudges <= {"task", "note", "chat"}
    assert adapter.has_rest or not adapter.nudges


@pytest.mark.parametrize("crm", NAMES)
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_any_body_is_an_answer_or_a_reason(crm: str, body: bytes) -> None:
    for content_type in (FORM, JSON, "", "text/plain; charset=koi8-r"):
        said = understood(crm, body, content_type)
        if said is not None:
            assert said.facts or said.touched or said.directory_changed or said.ignored or (
                said.directory
            )  # fmt: skip


def samples() -> list[tuple[str, Path]]:
    found = [(crm, path) for crm in NAMES for path in sorted((HERE / crm).rglob("*.form"))]
    return found + [("generic", path) for path in sorted((HERE / "generic").rglob("*.json"))]


@pytest.mark.parametrize(
    ("crm", "path"), samples(), ids=lambda value: getattr(value, "name", value)
)
def test_sample_that_is_cut_or_spoilt_anywhere_is_no_fault(crm: str, path: Path) -> None:
    body, chance = path.read_bytes(), random.Random(path.name)
    content_type = JSON if path.suffix == ".json" else FORM
    first = understood(crm, body, content_type)
    assert first == understood(crm, body, content_type)  # decoding is pure
    for _ in range(60):
        place, wrong = chance.randrange(len(body)), bytes([chance.randrange(256)])
        understood(crm, body[:place], content_type)
        understood(crm, body[:place] + wrong + body[place + 1 :], content_type)


@pytest.mark.parametrize("crm", NAMES)
def test_credentials_are_normalised_once_and_never_shown(crm: str) -> None:
    adapter = ADAPTERS[crm]
    given = {"token": "1/s3cretword"} if adapter.has_rest else {}
    base, clean = adapter.parse_connection("https://x.example", given)
    again = {"token": "/".join(filter(None, (clean.get("user"), clean.get("token"))))}
    assert adapter.parse_connection(base, again if adapter.has_rest else {}) == (base, clean)
    made = Connection("a", base, "UTC", "RUB", secrets=clean)
    assert "s3cretword" not in repr(made)
    with pytest.raises(ConfigError, match="--base-url"):
        adapter.parse_connection("no address", given)


@pytest.mark.parametrize("crm", NAMES)
def test_portal_that_nobody_reaches_is_source_unavailable(crm: str) -> None:
    adapter = ADAPTERS[crm]
    http = patient("http://127.0.0.1:9")
    client = adapter.client(connection(crm), http)
    if adapter.has_rest:
        with pytest.raises(SourceUnavailable):
            client.read_directory()
        with pytest.raises(SourceUnavailable):
            list(client.backfill(None, None))
        with pytest.raises(SourceUnavailable):
            list(client.changes(None))
        with pytest.raises(SourceUnavailable):
            client.check()
    else:
        assert client.hook_state("https://dozor.example/h") is HookState.UNKNOWN
        assert client.check() == []
    wanted = Nudge("pigeon", deal="1", seller="7", text="x", due_at=NOW, mark="m")
    with pytest.raises(SourceRejected):
        client.nudge(wanted)
    client.close()


@pytest.mark.parametrize("crm", NAMES)
def test_links_are_of_the_portal_and_only_for_what_has_a_page(crm: str) -> None:
    adapter, known = ADAPTERS[crm], connection(crm)
    assert adapter.subject_url(known, "weather", "1") is None
    link = adapter.subject_url(known, "deal", "17")
    assert link is None or (link.startswith(known.base_url) and "17" in link)
