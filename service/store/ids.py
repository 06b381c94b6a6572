"""Ids of Dozor's own objects: a prefix and 26 characters that sort by time."""

import secrets
import threading

from service.domain.instant import Instant

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80


class _Numbers:
    """Numbers that grow: time in front, random behind; one more within the same instant."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self, now: Instant) -> int:
        """A number for an object made at `now`."""
        with self._lock:
            fresh = (now * 1000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
            same = self._last >> _RANDOM_BITS == fresh >> _RANDOM_BITS
            self._last = self._last + 1 if same else fresh
            return self._last


_NUMBERS = _Numbers()


def new_id(prefix: str, now: Instant) -> str:
    """`key_` and 26 characters: 48 bits of time (milliseconds), 80 random bits.

    Args:
        prefix: without the underscore: `key`, `rem`, `aud`, ...
        now: the present instant; ids of one process and instant grow too.
    """
    return f"{prefix}_{spell(_NUMBERS.next(now))}"


def spell(number: int) -> str:
    """A number below 2**130 as 26 characters."""
    return "".join(_ALPHABET[number >> (5 * place) & 31] for place in reversed(range(26)))


def read(text: str) -> int | None:
    """The number of 26 characters; None: they are no number."""
    if len(text) != 26 or any(letter not in _ALPHABET for letter in text):
        return None
    number = 0
    for letter in text:
        number = number << 5 | _ALPHABET.index(letter)
    return number
