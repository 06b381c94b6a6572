"""References inside a batch: `$result[key][0][ID]` is what an earlier command answered."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

_REFERENCE = re.compile(r"(?:\$|%24)result((?:(?:\[|%5B)[A-Za-z0-9_]+(?:\]|%5D))+)", re.IGNORECASE)
_PART = re.compile(r"(?:\[|%5B)([A-Za-z0-9_]+?)(?:\]|%5D)", re.IGNORECASE)


def referred(command: str, results: Mapping[str, Any]) -> str:
    """The command with its references filled in; what is not there becomes an empty text."""
    return _REFERENCE.sub(lambda found: _value(_PART.findall(found[1]), results), command)


def _value(path: list[str], results: Mapping[str, Any]) -> str:
    here: Any = results
    for part in path:
        if isinstance(here, Mapping):
            here = here.get(part)
        elif isinstance(here, list) and part.isdecimal() and int(part) < len(here):
            here = here[int(part)]
        else:
            return ""
    return "" if here is None or isinstance(here, list | Mapping) else quote_plus(str(here))
