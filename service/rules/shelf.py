"""The rules of accounts: the installation's book with an account's own file on top, by time.

Of each rule the first version holds since ever and a changed one from the instant of the change,
unless the change says otherwise (decisions 1). Files and books are kept by what they say, so a
thousand accounts with the same file compile it once.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple, Protocol

from service.domain.config import Config
from service.domain.instant import FOREVER, Instant
from service.errors import ConfigError
from service.rules.book import RuleBook, Window
from service.rules.loading import check_silenced, parse_rules, read_rules
from service.rules.schema import RuleModel

MOST_KEPT = 2000


class Version(Protocol):
    """A version of an account's rule file, as stored."""

    @property
    def at(self) -> Instant:
        """When it was put in force."""

    @property
    def effective_from(self) -> Instant | None:
        """From when on it holds; None = as usual."""

    @property
    def text(self) -> str:
        """The file."""

    @property
    def shared(self) -> Sequence[str]:
        """Rules that the installation's file changed then."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file as read: its rules by name, what each says, and what cannot be used."""

    rules: Mapping[str, RuleModel]
    faults: Sequence[str]


class _Entry(NamedTuple):
    """From `start` on a rule says this; it came at `arrived`. None = there is no such rule."""

    start: Instant
    arrived: Instant
    model: RuleModel | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `start` on this book holds. `arrived`: when each of the account's own rules came."""

    start: Instant
    book: RuleBook
    arrived: Mapping[str, Instant] = field(default_factory=dict)


class Shelf:
    """Books of accounts, made from the installation's one."""

    def __init__(self, base: RuleBook) -> None:
        self.base = base
        self._files: dict[bytes, _File] = {}
        self._books: dict[tuple[bytes, ...], RuleBook] = {}

    def book(self, versions: Sequence[Version]) -> RuleBook:
        """The book in force now for an account with these versions of its file."""
        return self.stretches(versions)[-1].book

    def faults(self, versions: Sequence[Version]) -> Sequence[str]:
        """What of the file in force cannot be used (any more); it is left out."""
        return self._file(versions[-1].text).faults if versions else ()

    def draft(self, own: Sequence[RuleModel]) -> RuleBook:
        """The book if these were all of an account's own rules; not kept."""
        return self.base.with_own(own)

    def admit(
        self, text: str, name: str, versions: Sequence[Version], config: Config
    ) -> list[RuleModel]:
        """The rules of a file that is to be put in force.

        Raises:
            ConfigError: the first fault with its place; a rule that changes its kind; settings of
                the account that would mean nothing any more.
        """
        models = parse_rules(text, name)
        draft = self.draft(models)
        for model in models:
            self._check_kind(model, versions)
            check_silenced(model, draft)
        self.fit(draft, versions, config)
        return models

    def fit(self, book: RuleBook, versions: Sequence[Version], config: Config) -> None:
        """Whether the account's settings mean in another book what they mean now.

        Raises:
            ConfigError: names the setting that would mean nothing.
        """
        known = self.book(versions).problems(config)
        for problem in book.problems(config):
            if problem not in known:
                raise ConfigError(f"the account's settings do not fit the file: {problem}")

    def changed(self, versions: Sequence[Version]) -> list[list[str]]:
        """The names of the rules that each version changed, added or took away."""
        before: Mapping[str, RuleModel] = {}
        found = []
        for version in versions:
            rules = self._file(version.text).rules
            names = sorted({*before, *rules})
            base = self.base.models
            own = [
                name for name in names
                if before.get(name, base.get(name)) != rules.get(name, base.get(name))
            ]  # fmt: skip
            found.append(sorted({*own, *version.shared}))
            before = rules
        return found

    def _check_kind(self, model: RuleModel, versions: Sequence[Version]) -> None:
        """What a rule is about, and its layer, stay: its past would be judged by another kind."""
        files = [self._file(version.text).rules for version in versions]
        for rules in (self.base.models, *files):
            known = rules.get(model.id)
            if known is not None and not _same_kind(known, model):
                raise ConfigError(
                    f"{model.id}: there is or was a rule of this id on {known.on} of form "
                    f"{known.form}; one on {model.on} of form {model.form} needs another id"
                )

    def stretches(self, versions: Sequence[Version]) -> list[Stretch]:
        """Books by time, oldest first; the first holds since ever, the last now."""
        if not versions:
            return [Stretch(0, self.base)]
        files = [self._file(version.text).rules for version in versions]
        names = list(dict.fromkeys(name for rules in files for name in rules))
        lines = {name: self._line(name, versions, files) for name in names}
        cuts = sorted({0, *(entry.start for line in lines.values() for entry in line)})
        last = {name: line[-1].model for name, line in lines.items()}
        gone = [model for name, model in _former(files).items() if last[name] is None]
        found = []
        for cut in cuts:
            now = {name: _at(line, cut) for name, line in lines.items()}
            own = [entry.model for entry in now.values() if entry.model is not None]
            book = self._book(own, gone if cut == cuts[-1] else ())
            arrived = {name: e.arrived for name, e in now.items()}
            found.append(Stretch(cut, book, _shared(versions) | arrived))
        return found

    def _line(
        self,
        name: str,
        versions: Sequence[Version],
        files: Sequence[Mapping[str, RuleModel]],
    ) -> list[_Entry]:
        """What one rule said when, oldest first."""
        base = self.base.models.get(name)
        own = next((rules[name] for rules in reversed(files) if name in rules), None)
        if base is not None and own is not None and not _same_kind(base, own):
            base = None  # one that Dozor ships since: the account's own came first
        entries = [_Entry(0, 0, base)]
        seen = base is not None
        for version, rules in zip(versions, files, strict=True):
            model = rules.get(name) or base
            start = version.effective_from
            same = model == entries[-1].model
            if same and (start is None or entries[-1].start <= start):
                continue
            if start is None:
                start = version.at if seen else 0
            entries = [entry for entry in entries if entry.start < start]
            entries.append(_Entry(start, version.at, model))
            seen = seen or model is not None
        return entries

    def windows(
        self, configs: Sequence[tuple[Instant, Config]], versions: Sequence[Version]
    ) -> list[Window]:
        """Windows of judging: cut where the settings or the rules change, oldest first."""
        stretches = self.stretches(versions)
        from_config, from_rules = [at for at, _ in configs], [one.start for one in stretches]
        cuts = sorted({*from_config, *from_rules})
        found: list[Window] = []
        for index, start in enumerate(cuts):
            end = cuts[index + 1] if index + 1 < len(cuts) else FOREVER
            config = configs[max(bisect_right(from_config, start) - 1, 0)][1]
            stretch = stretches[bisect_right(from_rules, start) - 1]
            found.append(_window(start, end, config, stretch, found[-1] if found else None))
        return found

    def _file(self, text: str) -> _File:
        key = blake2b(text.encode(), digest_size=16).digest()
        found = self._files.get(key)
        if found is None:
            if len(self._files) >= MOST_KEPT:
                self._files.clear()
            found = self._files[key] = _read(text)
        return found

    def _book(self, own: Sequence[RuleModel], gone: Sequence[RuleModel]) -> RuleBook:
        key = (*map(_digest, own), b"gone", *map(_digest, gone))
        found = self._books.get(key)
        if found is None:
            if len(self._books) >= MOST_KEPT:
                self._books.clear()
            found = self._books[key] = self.base.with_own(own, gone)
        return found


def arrival(windows: Sequence[Window], rule_id: str, at: Instant) -> Instant:
    """When the rule that held at an instant came to the account; 0 = it was always there."""
    for window in reversed(windows):
        if window.start <= at:
            return window.arrived.get(rule_id, 0)
    return 0


def _window(
    start: Instant, end: Instant, config: Config, stretch: Stretch, before: Window | None
) -> Window:
    """One window. A rule that means what it meant before came when it came then."""
    rules = stretch.book.in_force(config)
    known = {rule.id: rule.version for rule in before.rules} if before else {}
    arrived = {}
    for rule in rules:
        if before is not None and known.get(rule.id) == rule.version:
            arrived[rule.id] = before.arrived[rule.id]
        else:
            arrived[rule.id] = max(stretch.arrived.get(rule.id, 0), start)
    levels = before.levels if before else frozenset()
    return Window(start, end, config, rules, arrived, levels)


def _read(text: str) -> _File:
    """A stored file: what a newer Dozor does not understand any more is left out, and told."""
    try:
        found = read_rules(text, "rules")
    except ConfigError as error:
        return _File({}, [str(error)])
    return _File({model.id: model for model in found.models}, found.faults("rules"))


def _shared(versions: Sequence[Version]) -> dict[str, Instant]:
    """When the installation's file last changed each rule: what it says now came then."""
    return {name: version.at for version in versions for name in version.shared}


def _former(files: Sequence[Mapping[str, RuleModel]]) -> dict[str, RuleModel]:
    """All rules that ever were in the file, each as it was last."""
    return {name: model for rules in files for name, model in rules.items()}


def _at(line: Sequence[_Entry], at: Instant) -> _Entry:
    return line[bisect_right([entry.start for entry in line], at) - 1]


def _same_kind(one: RuleModel, other: RuleModel) -> bool:
    """Whether both are judged in the same way on the same kind of subject."""
    return one.on == other.on and (one.form == other.form or {one.form, other.form} <= _ALIKE)


_ALIKE = {"state", "answer"}


def _digest(model: RuleModel) -> bytes:
    return blake2b(model.model_dump_json(by_alias=True).encode(), digest_size=16).digest()
