"""A CRM under load: threads that send distinct hooks, and again what was not acknowledged."""

import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

import httpx

from tests.faults.process import Dozor

FORM = {"content-type": "application/x-www-form-urlencoded"}
SOON = 10  # every so many hooks is of a task that is overdue within seconds
TIMEOUT = 30.0


@dataclass
class Hook:
    """A body, the subject in it, and what became of its sendings."""

    kind: str  # task | deal
    id: str
    body: bytes
    due: int | None = None  # set on tasks that are overdue within seconds
    sent: int = 0
    acknowledged: int = 0  # the sending that got 200; 0 = none has


@dataclass(frozen=True)
class Answer:
    """What a sending came to. `status` 0: no answer."""

    at: float  # monotonic
    status: int
    seconds: float
    retry_after: str | None = None


@dataclass
class Crm:
    """All hooks ever sent, and the threads that send them."""

    dozor: Dozor
    chance: random.Random
    pad: int = 0  # letters added to the text of a task
    hooks: list[Hook] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    _again: deque[Hook] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def sending(self, threads: int = 4, pause: float = 0.002) -> Iterator[None]:
        """Send from `threads` connections until the block ends."""
        ended = threading.Event()
        running = [
            threading.Thread(target=self._run, args=(ended, pause), daemon=True)
            for _ in range(threads)
        ]
        for thread in running:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in running:
                thread.join()

    def finish(self) -> None:
        """Send until everything is acknowledged."""
        with httpx.Client(base_url=self.dozor.url, timeout=TIMEOUT) as client:
            while self._again:
                assert self.send(client, self._again.popleft()).status == 200

    def send_new(self, client: httpx.Client) -> Answer:
        """One new hook."""
        return self.send(client, self._next(new=True))

    def statuses(self, since: float = 0.0) -> set[int]:
        """The statuses of what was answered from an instant on."""
        return {answer.status for answer in list(self.answers) if answer.at >= since}

    def count(self, status: int) -> int:
        """How many answers had this status."""
        return sum(answer.status == status for answer in list(self.answers))

    def _run(self, ended: threading.Event, pause: float) -> None:
        with httpx.Client(base_url=self.dozor.url, timeout=TIMEOUT) as client:
            while not ended.is_set():
                answer = self.send(client, self._next())
                ended.wait(pause if answer.status == 200 else 0.02)

    def _next(self, *, new: bool = False) -> Hook:
        with self._lock:
            if self._again and not new and self.chance.random() < 0.5:
                return self._again.popleft()
            hook = make(len(self.hooks) + 1, self.dozor.now(), self.chance, self.pad)
            self.hooks.append(hook)
            return hook

    def send(self, client: httpx.Client, hook: Hook) -> Answer:
        """Send a hook once; what is not acknowledged will be sent again."""
        hook.sent += 1
        began = time.monotonic()
        status, retry_after = 0, None
        try:
            got = client.post(self.dozor.hook, content=hook.body, headers=FORM)
            status, retry_after = got.status_code, got.headers.get("retry-after")
        except httpx.TransportError:
            pass  # a killed service: nothing is known of this hook
        if status == 200:
            hook.acknowledged = hook.sent
        else:
            self._again.append(hook)
        answer = Answer(began, status, time.monotonic() - began, retry_after)
        self.answers.append(answer)
        return answer


def make(number: int, now: datetime, chance: random.Random, pad: int = 0) -> Hook:
    """The hook of a new subject: one deal to two tasks, some of them overdue soon."""
    seller = str(7 + number % 3)
    if number % 3 == 0:
        return Hook("deal", str(number), _deal(number, now, seller))
    if number % SOON:
        return Hook("task", str(number), _task(number, now, now + timedelta(days=3), seller, pad))
    due = now + timedelta(seconds=chance.randint(5, 200))
    return Hook("task", str(number), _task(number, now, due, seller, pad), int(due.timestamp()))


def _deal(number: int, now: datetime, seller: str) -> bytes:
    at = int(now.timestamp())
    fields = {
        "id": number, "name": f"Сделка {number}", "status_id": 20, "pipeline_id": 31,
        "price": 1000 + number, "responsible_user_id": seller, "created_user_id": seller,
        "modified_user_id": seller, "created_at": at, "updated_at": at,
    }  # fmt: skip
    return urlencode({f"leads[add][0][{k}]": v for k, v in fields.items()}).encode()


def _task(number: int, now: datetime, due: datetime, seller: str, pad: int) -> bytes:
    at = int(now.timestamp())
    fields = {
        "id": number, "element_id": number, "element_type": 2, "task_type": 1,
        "text": f"Дело {number}." + "x" * pad, "status": 0, "responsible_user_id": seller,
        "created_user_id": seller, "modified_by": seller, "created_at": at, "updated_at": at,
        "complete_before": int(due.timestamp()), "action_close": 0,
    }  # fmt: skip
    return urlencode({f"task[add][0][{k}]": v for k, v in fields.items()}).encode()
