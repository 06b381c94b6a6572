"""Reading amoCRM's query strings: `filter[x][]`, ranges, comma lists, paging."""

from collections.abc import Iterator
from dataclasses import dataclass

from service.portal.brackets import Tree


class BadQueryError(Exception):
    """The portal refuses the request; `status` and `detail` as amoCRM answers."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True)
class Ask:
    """One authenticated request: path, its numbers and words, parsed query, raw body."""

    method: str
    path: str
    parts: dict[str, str]
    pairs: tuple[tuple[str, str], ...]
    query: Tree
    body: bytes

    def node(self, *path: str) -> "Tree | str | None":
        """What stands at a path of the query."""
        here: Tree | str | None = self.query
        for part in path:
            if not isinstance(here, dict):
                return None
            here = here.get(part)
        return here

    def text(self, *path: str) -> str | None:
        """A single value."""
        found = self.node(*path)
        return found if isinstance(found, str) else None

    def texts(self, *path: str) -> list[str] | None:
        """Values of `x=a`, `x=a,b`, `x[]=a&x[]=b` or `x[0]=a`; None when not given."""
        found = self.node(*path)
        if found is None:
            return None
        return list(_leaves(found))

    def numbers(self, *path: str) -> set[int] | None:
        """The same as a set of whole numbers."""
        found = self.texts(*path)
        return None if found is None else {_number(text, path) for text in found}

    def span(self, *path: str) -> tuple[int, int] | None:
        """A range of unix seconds, both ends included; a bare value means "from"."""
        found = self.node(*path)
        if found is None:
            return None
        if isinstance(found, str):
            start, _, end = found.partition(",")
        else:
            ends = (found.get("from", ""), found.get("to", ""))
            start, end = (end if isinstance(end, str) else "" for end in ends)
        return (
            _number(start, path) if start else 0,
            _number(end, path) if end else 2**53,
        )

    def wants(self, extra: str) -> bool:
        """Does `with=` name this extra."""
        return extra in (self.texts("with") or [])

    def whole(self, name: str, default: int) -> int:
        """A positive whole number such as `page`."""
        text = self.text(name)
        number = default if text is None else _number(text, (name,))
        if number < 1:
            raise BadQueryError(400, f"{name} must be at least 1")
        return number


def _leaves(found: "Tree | str") -> Iterator[str]:
    if isinstance(found, str):
        yield from (text for text in found.split(",") if text)
        return
    for below in found.values():
        yield from _leaves(below)


def _number(text: str, path: tuple[str, ...]) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadQueryError(400, f"{'.'.join(path)}: {text!r} is not a number") from None
