"""Sends hooks in a thread of its own, so that nobody who changes the book ever waits."""

import asyncio
import random
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import httpx

from service.clock import Clock
from service.portal.dialect import Delivery, HookPolicy
from service.portal.office import Faults

_IN_FLIGHT = 8
_GOOD = range(100, 300)


@dataclass
class Counters:
    """What became of the hooks. `sent` = requests made = `answered` (2xx) + `failed`."""

    sent: int = 0
    answered: int = 0
    failed: int = 0
    retried: int = 0
    dropped: int = 0
    duplicated: int = 0
    skipped: int = 0
    pending: int = 0


@dataclass(frozen=True)
class _Errand:
    delivery: Delivery
    tries: int = 0


class Courier:
    """Delivers in the order of `send`, a few requests in flight, retries as the CRM does."""

    def __init__(self, clock: Clock, policy: HookPolicy, faults: Faults) -> None:
        self.counters = Counters()
        self._clock = clock
        self._policy = policy
        self._faults = faults
        self._random = random.Random(0)
        self._queue: asyncio.Queue[_Errand] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="portal-courier", daemon=True)

    def start(self) -> None:
        """Begin to deliver; needed before the first `send`."""
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    def stop(self) -> None:
        """Stop; what has not been delivered is lost, as when a portal goes down."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Take deliveries over, in this order; returns at once. Any thread may call it."""
        errands = [errand for delivery in deliveries for errand in self._with_faults(delivery)]
        with self._idle:
            self.counters.pending += len(errands)
        for errand in errands:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, errand)

    def wait_idle(self, timeout_seconds: float) -> bool:
        """Wait (real seconds) until nothing is queued, in flight or waiting for its retry."""
        with self._idle:
            return self._idle.wait_for(lambda: self.counters.pending == 0, timeout_seconds)

    def stats(self) -> dict[str, int]:
        """The counters."""
        return asdict(self.counters)

    def _with_faults(self, delivery: Delivery) -> list[_Errand]:
        if self._random.random() < self._faults.drop:
            self.counters.dropped += 1
            return []
        if self._random.random() < self._faults.duplicate:
            self.counters.duplicated += 1
            return [_Errand(delivery), _Errand(delivery)]
        return [_Errand(delivery)]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        client = httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=60)
        workers = [self._loop.create_task(self._work(client)) for _ in range(_IN_FLIGHT)]
        self._loop.run_forever()
        for task in (*workers, *self._tasks):
            task.cancel()
        self._loop.run_until_complete(
            asyncio.gather(*workers, *self._tasks, return_exceptions=True)
        )
        self._loop.run_until_complete(client.aclose())
        self._loop.close()

    async def _work(self, client: httpx.AsyncClient) -> None:
        while True:
            errand = await self._queue.get()
            if errand.tries == 0 and self._faults.delay_seconds:
                wait = self._random.random() * self._faults.delay_seconds
                self._later(errand, wait)
            else:
                await self._attempt(client, errand)

    async def _attempt(self, client: httpx.AsyncClient, errand: _Errand) -> None:
        destination = errand.delivery.destination
        if not self._policy.is_on(destination):
            self.counters.skipped += 1
            self._done()
            return
        code = await self._post(client, errand.delivery)
        self.counters.sent += 1
        if code in _GOOD:
            self.counters.answered += 1
        else:
            self.counters.failed += 1
        self._policy.note_answer(destination, code)
        tries = max(errand.tries, 1)
        wait = None if code in _GOOD else self._policy.wait_after(tries, code)
        if wait is None:
            self._done()
            return
        self.counters.retried += 1
        self._later(_Errand(errand.delivery, tries + 1), wait.total_seconds())

    async def _post(self, client: httpx.AsyncClient, delivery: Delivery) -> int:
        try:
            async with asyncio.timeout(self._policy.answer_seconds):
                answer = await client.post(
                    delivery.destination, content=delivery.body, headers=self._policy.headers()
                )
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            return 0
        return answer.status_code

    def _later(self, errand: _Errand, portal_seconds: float) -> None:
        again = _Errand(errand.delivery, max(errand.tries, 1))
        task = self._loop.create_task(self._requeue(again, portal_seconds / self._clock.speed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _requeue(self, errand: _Errand, real_seconds: float) -> None:
        await asyncio.sleep(real_seconds)
        self._queue.put_nowait(errand)

    def _done(self) -> None:
        with self._idle:
            self.counters.pending -= 1
            self._idle.notify_all()
