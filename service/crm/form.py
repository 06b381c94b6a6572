"""Form bodies with PHP bracket keys, read within bounds.

`leads[status][0][id]=1` -> `{"leads": {"status": {"0": {"id": "1"}}}}`. Maps keep their numeric
keys: `items` turns one into a list where a list is expected. What cannot be useful is refused with
a reason (the row is parked), everything odd but readable is read.
"""

from typing import Any
from urllib.parse import unquote_to_bytes

from service.errors import PayloadNotUnderstood

MAX_KEYS = 9_999
MAX_DEPTH = 12
END_OF_TIME = 253_402_300_799  # 9999-12-31T23:59:59Z
Node = dict[str, Any]


def parse(body: bytes) -> Node:
    """Read a form body.

    Raises:
        PayloadNotUnderstood: `empty`, `not_a_form`, `too_many_keys`, `too_deep`, `not_utf8`, `cut`.
    """
    if not body.strip():
        raise PayloadNotUnderstood("empty")
    if body.lstrip()[:1] in (b"{", b"[", b"<") or b"=" not in body:
        raise PayloadNotUnderstood("cut" if b"%5B" in body or b"[" in body else "not_a_form")
    pairs = body.split(b"&")
    if len(pairs) > MAX_KEYS:
        raise PayloadNotUnderstood("too_many_keys", f"{len(pairs)} keys")
    root: Node = {}
    for pair in pairs:
        key, equals, value = pair.partition(b"=")
        if equals and key:
            _put(root, _text(key), _text(value))
    if not root:
        raise PayloadNotUnderstood("not_a_form")
    return root


def _text(raw: bytes) -> str:
    plain = raw.replace(b"+", b" ") if b"+" in raw else raw
    if b"%" in plain:
        plain = unquote_to_bytes(plain)
    try:
        return plain.decode()
    except UnicodeDecodeError:
        raise PayloadNotUnderstood("not_utf8") from None


def _put(root: Node, key: str, value: str) -> None:
    head, bracket, rest = key.partition("[")
    if not bracket:
        root.setdefault(head, value)
        return
    if not rest.endswith("]"):
        return  # a key that was cut: the rest of the body may be useful
    path = [head, *rest[:-1].split("][")]
    if len(path) > MAX_DEPTH:
        raise PayloadNotUnderstood("too_deep", f"{len(path)} levels")
    node = root
    for part in path[:-1]:
        child = node.get(part)
        if not isinstance(child, dict):
            # The same path as scalar and as map: the map says more.
            child = node[part] = {} if child is None else {"": child}
        node = child
    last = path[-1]
    if isinstance(node.get(last), dict):
        node[last].setdefault("", value)
    else:
        node[last] = value


def items(node: Any) -> list[Any]:
    """The values of a map with numeric keys, in their order; a list where one is expected."""
    if not isinstance(node, dict):
        return []
    numbered = [(int(key), value) for key, value in node.items() if key.isdecimal()]
    return [value for _, value in sorted(numbered, key=lambda pair: pair[0])]


def text(node: Any, *names: str) -> str | None:
    """The first of these members that is a text and not empty."""
    if not isinstance(node, dict):
        return None
    for name in names:
        value = node.get(name)
        if isinstance(value, dict):
            value = value.get("")
        if isinstance(value, str) and value != "":
            return value
    return None


def whole(node: Any, *names: str) -> int | None:
    """The first of these members that is a whole number of a sane size."""
    value = text(node, *names)
    if value is None:
        return None
    digits = value.removeprefix("-")
    if not (digits.isdecimal() and digits.isascii() and len(digits) <= 15):
        return None
    return int(value)


def instant(node: Any, *names: str) -> int | None:
    """The first of these members that is a number, as unix seconds; None for 0 and nonsense."""
    seconds = whole(node, *names)
    return seconds if seconds is not None and 0 < seconds <= END_OF_TIME else None


def subject_id(node: Any, *names: str) -> str | None:
    """A CRM id: a whole number above zero, as text."""
    number = whole(node, *names)
    return str(number) if number is not None and number > 0 else None
