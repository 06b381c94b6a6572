"""The client of a portal: its limit, what is tried again, what becomes which error."""

import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import respx

from service import http
from service.clock import Clock
from service.domain.ports import PortalResponse
from service.errors import ConfigError, SourceLimited, SourceUnavailable
from service.http import OwnLimiter, PortalClient, asked_pause, make_portal_http, public_address
from tests.crm.kit import Sleeps, patient

BASE = "https://demo.example"


class Stopped(Clock):
    """A clock whose monotonic time moves by hand."""

    def __init__(self, speed: float = 1.0) -> None:
        super().__init__(datetime(2026, 3, 2, tzinfo=UTC), speed)
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_limiter_lets_the_burst_through_and_then_paces() -> None:
    clock = Stopped()
    limiter = OwnLimiter(2.0, 3.0, clock)
    assert [limiter.take() for _ in range(5)] == [0, 0, 0, 0.5, 1.0]
    clock.seconds = 1.0
    assert limiter.take() == 0.5
    clock.seconds = 60.0
    assert limiter.take() == 0


def test_limiter_of_accelerated_time_waits_less() -> None:
    limiter = OwnLimiter(2.0, 1.0, Stopped(speed=60.0))
    limiter.take()
    assert limiter.take() == pytest.approx(0.5 / 60)


@respx.mock
def test_transport_fault_is_tried_again(sleeps: Sleeps) -> None:
    route = respx.get(f"{BASE}/x").mock(
        side_effect=[httpx.ConnectError("no"), httpx.ReadTimeout("slow"), httpx.Response(200)]
    )
    assert patient(BASE, sleeps).request("GET", "/x").status == 200
    assert route.call_count == 3
    assert sleeps.seconds == [pytest.approx(0.2), pytest.approx(0.4)]


@respx.mock
def test_portal_that_does_not_answer_is_unavailable_without_its_secret() -> None:
    respx.post(f"{BASE}/rest/1/s3cret/batch").mock(side_effect=httpx.ConnectError("no s3cret"))
    with pytest.raises(SourceUnavailable) as caught:
        patient(BASE).request("POST", "/rest/1/s3cret/batch", json={})
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


@respx.mock
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_server_fault_is_tried_three_times(status: int) -> None:
    route = respx.get(f"{BASE}/x").respond(status)
    assert patient(BASE).request("GET", "/x").status == status
    assert route.call_count == 3


@respx.mock
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_not_followed(status: int) -> None:
    respx.get(f"{BASE}/x").respond(status, headers={"location": "https://evil.example/x"})
    with pytest.raises(SourceUnavailable, match="--base-url"):
        patient(BASE).request("GET", "/x")


@respx.mock
def test_pause_that_is_short_enough_is_waited_for(sleeps: Sleeps) -> None:
    respx.get(f"{BASE}/x").mock(
        side_effect=[httpx.Response(429), httpx.Response(429), httpx.Response(200, text="ok")]
    )
    assert patient(BASE, sleeps).request("GET", "/x").body == b"ok"
    assert sleeps.seconds == pytest.approx([5.0, 10.0], abs=0.1)


@respx.mock
def test_long_pause_is_told_at_once(sleeps: Sleeps) -> None:
    respx.get(f"{BASE}/x").respond(429, json={"status": 429, "retry_after": 300})
    with pytest.raises(SourceLimited) as caught:
        patient(BASE, sleeps).request("GET", "/x")
    assert caught.value.retry_after == 300
    assert sleeps.seconds == []


@respx.mock
def test_pause_in_accelerated_time_is_shorter() -> None:
    respx.get(f"{BASE}/x").mock(side_effect=[httpx.Response(429), httpx.Response(200)])
    sleeps = Sleeps()
    PortalClient(BASE, OwnLimiter(1e9, 1e9, Stopped(speed=50.0)), sleep=sleeps).request("GET", "/x")
    assert sleeps.seconds == [pytest.approx(0.1)]


@pytest.mark.parametrize(
    ("status", "body", "headers", "pause"),
    [
        (429, b"", {}, 5.0),
        (429, b"<html>", {"retry-after": "30"}, 30.0),
        (429, b'{"retry_after": 7}', {}, 7.0),
        (429, b'{"error":"OPERATION_TIME_LIMIT"}', {}, 120.0),
        (503, b'{"error":"QUERY_LIMIT_EXCEEDED"}', {}, 5.0),
        (200, b'{"error":"QUERY_LIMIT_EXCEEDED"}', {}, 5.0),
        (200, b'{"result":{"TITLE":"QUERY_LIMIT_EXCEEDED"}}', {}, None),
        (503, b"<html>", {}, None),
        (200, b"{}", {}, None),
    ],
)
def test_asked_pause(
    status: int, body: bytes, headers: dict[str, str], pause: float | None
) -> None:
    assert asked_pause(PortalResponse(status, headers, body)) == pause


@respx.mock
def test_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER", 1000)
    respx.get(f"{BASE}/x").respond(200, content=b"x" * 1001)
    with pytest.raises(SourceUnavailable, match="over"):
        patient(BASE).request("GET", "/x")


Resolve = Callable[..., list[Any]]


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Names resolve to the given addresses."""

    def answer(*addresses: str) -> None:
        found = [(0, 0, 0, "", (address, 443)) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: found)

    return answer


def test_public_address_is_the_one_to_connect_to(resolves: Callable[..., None]) -> None:
    resolves("93.184.216.34")
    assert public_address("https://demo.example/x") == "93.184.216.34"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1",
     "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "224.0.0.1"],
)  # fmt: skip
def test_inner_address_is_refused(resolves: Callable[..., None], address: str) -> None:
    resolves("93.184.216.34", address)
    with pytest.raises(ConfigError, match="not a public address"):
        public_address("https://demo.example")


@pytest.mark.parametrize("url", ["http://demo.example", "ftp://x", "https://", "https://[", "x"])
def test_address_that_is_no_https_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="the address"):
        public_address(url)


def test_portal_inside_is_reached_only_if_allowed(resolves: Callable[..., None]) -> None:
    resolves("127.0.0.1")
    limiter = OwnLimiter(1, 1, Clock())
    with pytest.raises(SourceUnavailable, match="not a public address"):
        make_portal_http("https://demo.example", limiter, Clock())
    make_portal_http(
        "https://demo.example", OwnLimiter(1, 1, Clock()), Clock(), allow_private=True
    ).close()


def test_long_pause_is_not_slept_out(sleeps: Sleeps) -> None:
    client = patient(BASE, sleeps)
    client.limiter.pause(300.0)  # as asked for by another request, or another process
    with respx.mock, pytest.raises(SourceLimited) as caught:
        client.request("GET", "/x")
    assert 299 < caught.value.retry_after <= 300
    assert sleeps.seconds == []


def test_used_up_time_of_one_method_holds_no_other(sleeps: Sleeps) -> None:
    client = patient(BASE, sleeps)
    with respx.mock:
        body = {"error": "OPERATION_TIME_LIMIT", "error_description": "Method is blocked"}
        respx.post(f"{BASE}/slow").respond(429, json=body)
        respx.post(f"{BASE}/other").respond(200, json={"result": 1})
        with pytest.raises(SourceLimited):
            client.request("POST", "/slow")
        assert client.request("POST", "/other").status == 200
    assert sleeps.seconds == []
