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
    if body.count(b"&") >= MAX_KEYS:
        raise PayloadNotUnderstood("too_many_keys", f"{body.count(b'&') + 1} keys")
    root: Node = {}
    parents: dict[str, Node] = {}
    for pair in _plain(body).split("&"):
        key, equals, value = pair.partition("=")
        if equals and key:
            _put(root, parents, _unquoted(key), _unquoted(value))
    if not root:
        raise PayloadNotUnderstood("not_a_form")
    return root


def _plain(body: bytes) -> str:
    """The body as text; blanks and brackets are decoded at once, which moves no separator."""
    body = body.replace(b"+", b" ").replace(b"%5B", b"[").replace(b"%5D", b"]")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise PayloadNotUnderstood("not_utf8") from None


def _unquoted(text: str) -> str:
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise PayloadNotUnderstood("not_utf8") from None


def _put(root: Node, parents: dict[str, Node], key: str, value: str) -> None:
    """Put a value at its place. `parents`: nodes already walked to, by the key up to the last [."""
    parent, bracket, last = key.rpartition("[")
    if not bracket:
        root.setdefault(key, value)
        return
    if not last.endswith("]"):
        return  # a key that was cut: the rest of the body may be useful
    last = last[:-1]
    node = parents.get(parent)
    if node is None:
        node = parents[parent] = _walk(root, parent)
    if isinstance(node.get(last), dict):
        node[last].setdefault("", value)
    else:
        node[last] = value


def _walk(root: Node, parent: str) -> Node:
    """The node of `leads[add][0]`, made on the way; a scalar in the way becomes a map's ""."""
    head, bracket, rest = parent.partition("[")
    path = [head, *rest.removesuffix("]").split("][")] if bracket else [head]
    if len(path) >= MAX_DEPTH:
        raise PayloadNotUnderstood("too_deep", f"{len(path) + 1} levels")
    node = root
    for part in path:
        child = node.get(part)
        if not isinstance(child, dict):
            child = node[part] = {} if child is None else {"": child}
        node = child
    return node


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
