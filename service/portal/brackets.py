"""PHP's bracket keys, both ways: `leads[add][0][id]=1` and the tree `{"leads": {"add": ...}}`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import parse_qsl, urlencode

Tree = dict[str, "Tree | str"]
"""What a parsed query or form is: every leaf is text, lists are maps with the keys 0, 1, ..."""

Leaf = str | int | float | None
Branch = Mapping[str, "Branch"] | Sequence["Branch"] | Leaf
"""What can be written as a form: maps, lists, and leaves."""


def encode(tree: Mapping[str, Branch]) -> bytes:
    """A form body in the order of the maps; None is written as an empty value."""
    pairs = [pair for key, branch in tree.items() for pair in _pairs(key, branch)]
    return urlencode(pairs).encode("ascii")


def _pairs(path: str, branch: Branch) -> Iterator[tuple[str, str]]:
    if isinstance(branch, Mapping):
        for key, below in branch.items():
            yield from _pairs(f"{path}[{key}]", below)
    elif isinstance(branch, Sequence) and not isinstance(branch, str):
        for index, below in enumerate(branch):
            yield from _pairs(f"{path}[{index}]", below)
    else:
        yield path, "" if branch is None else str(branch)


def parse(text: str) -> Tree:
    """The tree of a query string or form body; later values win, `a[]` appends."""
    return build(parse_qsl(text, keep_blank_values=True))


def build(pairs: Iterable[tuple[str, str]]) -> Tree:
    """The tree of already decoded pairs."""
    root: Tree = {}
    for key, value in pairs:
        _put(root, _path(key), value)
    return root


def _path(key: str) -> list[str]:
    head, bracket, rest = key.partition("[")
    if not bracket:
        return [head]
    return [head, *rest.removesuffix("]").split("][")]


def _put(root: Tree, path: list[str], value: str) -> None:
    node = root
    for part in path[:-1]:
        name = part or str(len(node))
        below = node.get(name)
        if not isinstance(below, dict):
            below = {}
            node[name] = below
        node = below
    node[path[-1] or str(len(node))] = value
