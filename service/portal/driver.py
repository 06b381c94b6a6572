"""Lets the department live: each action runs when the clock reaches its instant."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from service.portal.office import Office

Actions = Iterator[tuple[datetime, Callable[[], None]]]


@dataclass
class Progress:
    """How far the department has lived."""

    actions: int = 0
    at: datetime | None = None
    done: bool = False
    failure: str | None = None


class Driver:
    """Runs `actions` in a thread, holding the portal's lock for each one.

    Actions later than `until` (an instant that may be set or moved while it runs) are not run.
    """

    def __init__(self, office: Office, actions: Actions, until: datetime | None = None) -> None:
        self.progress = Progress()
        self.until = until
        self._office = office
        self._actions = actions
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="portal-driver", daemon=True)

    def start(self) -> None:
        """Begin to live."""
        self._thread.start()

    def stop(self) -> None:
        """End after the action that runs now."""
        self._stop.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()

    def end_at(self, until: datetime | None) -> None:
        """Set the instant after which nothing happens any more; None takes it away."""
        self.until = until
        self._changed.set()

    def wait_done(self, timeout_seconds: float) -> bool:
        """Wait (real seconds) until the driver has ended."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._live()
        except Exception as error:  # noqa: BLE001 - the thread's end: the failure is shown in stats
            self.progress.failure = f"{type(error).__name__}: {error}"
        self.progress.done = True

    def _live(self) -> None:
        while not self._stop.is_set():
            with self._office.lock:
                found = next(self._actions, None)
            if found is None:
                return
            instant, action = found
            if not self._wait_for(instant):
                return
            with self._office.lock:
                action()
                self.progress.actions += 1
                self.progress.at = instant

    def _wait_for(self, instant: datetime) -> bool:
        """True when the clock has reached `instant`; False: it lies behind the end, or stopped."""
        clock = self._office.clock
        while not self._stop.is_set():
            if self.until is not None and instant > self.until:
                return False
            seconds = clock.real_seconds(instant - clock.now())
            if seconds <= 0:
                return True
            self._changed.clear()
            if self._stop.is_set():
                return False
            self._changed.wait(seconds)
        return False
