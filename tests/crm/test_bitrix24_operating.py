"""The time that a method has used up on the portal: slowed down at 60 %, waited for at the end."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from service.crm.bitrix24.rest import Rest
from service.domain.ports import Connection, PortalResponse


@dataclass
class Http:
    """A portal that tells how much of its time is used up."""

    operating: Any = 0
    inner: dict[str, Any] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    skew: float | None = None

    def request(self, method: str, path: str, **_: Any) -> PortalResponse:
        time = {
            "finish": 1000.0, "processing": 2.0, "operating": self.operating,
            "operating_reset_at": 1045,
        }  # fmt: skip
        result: Any = []
        if path.endswith("/batch"):
            times = {key: time | {"operating": used} for key, used in self.inner.items()}
            result = {"result": {key: list[Any]() for key in self.inner}, "result_time": times}
        return PortalResponse(200, {}, json.dumps({"result": result, "time": time}).encode())

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)

    def close(self) -> None:
        return


def rest(http: Http) -> Rest:
    secrets = {"user": "1", "token": "s"}
    return Rest(Connection("a", "https://x.example", "UTC", "RUB", secrets=secrets), http)


@pytest.mark.parametrize(
    ("operating", "waits"),
    [(0, []), (287, []), (288, [8.0]), ("300.5", [8.0]), (456, [45.0]), (None, []), ("x", [])],
)
def test_the_more_is_used_up_the_longer_is_the_pause(operating: Any, waits: list[float]) -> None:
    http = Http(operating)
    portal = rest(http)
    portal.call("crm.deal.list")
    assert http.waits == []  # nothing was known before
    portal.call("crm.deal.list")
    assert http.waits == waits
    portal.call("tasks.task.list")
    assert http.waits == waits  # other methods go on


def test_time_that_comes_back_ends_the_pauses() -> None:
    http = Http(400)
    portal = rest(http)
    portal.call("crm.deal.list")
    http.operating = 10
    portal.call("crm.deal.list")
    portal.call("crm.deal.list")
    assert http.waits == [8.0]


def test_methods_inside_a_batch_pay_for_themselves() -> None:
    http = Http(0, {"a": 460, "b": 5})
    portal = rest(http)
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "a": ("crm.stagehistory.list", {}), "b": ("crm.deal.get", {}),
    }  # fmt: skip
    portal.batch(calls)
    portal.call("crm.deal.get")
    assert http.waits == []
    portal.call("crm.stagehistory.list")
    portal.batch(calls)
    assert http.waits == [45.0]  # the call told that the time has come back
