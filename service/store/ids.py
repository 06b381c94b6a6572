"""Ids of Dozor's own objects: a prefix and 26 characters that sort by time."""

import secrets

from service.domain.instant import Instant

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id(prefix: str, now: Instant) -> str:
    """`key_` and 26 characters: 48 bits of time (milliseconds), 80 random bits.

    Args:
        prefix: without the underscore: `key`, `rem`, `aud`, ...
        now: the present instant.
    """
    number = (now * 1000) << 80 | secrets.randbits(80)
    digits = [_ALPHABET[number >> (5 * place) & 31] for place in range(26)]
    return f"{prefix}_" + "".join(reversed(digits))
