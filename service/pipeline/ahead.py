"""Reading ahead: while a page is stored the next ones are read, so the rate limit is used."""

import threading
from collections.abc import Iterator
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")
DEPTH = 16  # pages that wait to be stored: a list that is slow to store does not stop the reading
_LOOK_SECONDS = 0.2


def ahead(pages: Iterator[T], depth: int = DEPTH) -> Iterator[T]:
    """The same pages in the same order, read by a thread of their own up to `depth` ahead.

    A fault of the reading is raised after the pages that came before it. Who stops early ends the
    thread after the page at hand.
    """
    reader = _Reader(pages, depth)
    try:
        yield from reader.taken()
    finally:
        reader.stop()


class _End:
    """Nothing comes any more; `fault` is what ended the reading."""

    def __init__(self, fault: BaseException | None) -> None:
        self.fault = fault


class _Reader(Generic[T]):
    """The thread, and the queue between it and whoever takes the pages."""

    def __init__(self, pages: Iterator[T], depth: int) -> None:
        self._pages = pages
        self._queue: Queue[T | _End] = Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="read-ahead", daemon=True)
        self._thread.start()

    def taken(self) -> Iterator[T]:
        """Pages as they come."""
        while True:
            try:
                item = self._queue.get(timeout=_LOOK_SECONDS)
            except Empty:
                continue
            if not isinstance(item, _End):
                yield item
            elif item.fault is not None:
                raise item.fault
            else:
                return

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join()

    def _read(self) -> None:
        fault: BaseException | None = None
        try:
            for page in self._pages:
                if not self._put(page):
                    return
        except BaseException as error:  # noqa: BLE001 - raised where the pages are taken
            fault = error
        self._put(_End(fault))

    def _put(self, item: T | _End) -> bool:
        """False: nobody takes it any more."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=_LOOK_SECONDS)
            except Full:
                continue
            return True
        return False
