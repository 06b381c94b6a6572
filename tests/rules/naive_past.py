"""The raw facts of a case, looked up and never folded; and the settings in plain words.

Nothing of the service but what a fact is. What is true at an instant is found by looking back from
it: the last version before, how many before, the first since.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from service.domain.config import Config
from service.domain.facts import Fact, Kind
from tests.domain.test_calendar_naive import Work

CORRECTED_WITHIN = 600
STOP = ["ок", "ok", "перезвонить", "звонок", "тест", "test", "связаться", ".", "-", "+", "123"]
JUNK = [
    "тест",
    "test",
    "нет",
    "no",
    "123",
    "1234",
    "12345",
    "111",
    "000",
    "xxx",
    "ххх",
    "n/a",
    "нд",
]
SPAM = ("спам", "дубль", "нецелев", "тест", "spam", "duplicate", "test")


class Plain(NamedTuple):
    """The settings of an account, as they are written, with ids for titles."""

    zone: str
    currency: str
    humans: frozenset[str]
    complete_users: bool
    activity: dict[str, tuple[tuple[int, bool], ...]]
    kinds: dict[tuple[str, str], str]  # (pipeline, stage) -> incoming, open, won, lost
    open_stages: dict[str, list[str]]  # pipeline -> its open stages in order
    all_stages: dict[str, list[str]]
    own: dict[str, dict[str, Any]]  # pipeline -> what the settings say of it
    excluded: frozenset[str]
    fields: dict[str, str]  # what a custom field holds -> its id
    field_names: dict[str, str]
    task_kinds: dict[str, str]
    spam: frozenset[str]
    junk: frozenset[str]
    stop: frozenset[str]
    hot_tags: frozenset[str]
    test_tags: frozenset[str]
    work: dict[str, Work]  # seller ("" = nobody) -> hours


def plain_of(made: Config) -> Plain:
    """Settings and directory in plain words."""
    directory, document = made.directory, made.document
    stages = {p.id: sorted(p.stages, key=lambda s: s.sort) for p in directory.pipelines}
    titles = {s.name: s.id for p in directory.pipelines for s in p.stages}
    lines = {p.name: p.id for p in directory.pipelines} | {p.id: p.id for p in directory.pipelines}
    custom = {f.name: f.id for f in directory.fields} | {f.id: f.id for f in directory.fields}
    own: dict[str, dict[str, Any]] = {}
    for name, said in document.pipelines.items():
        if name != "exclude":
            own[lines[name]] = _by_ids(said or {}, titles, custom)
    reasons = [(r.id, r.name) for r in directory.loss_reasons]
    spam = {n for _, n in reasons if any(word in n.lower() for word in SPAM)}
    spam = spam if document.spam_reasons is None else set(document.spam_reasons)
    junk = JUNK if document.junk is None else document.junk
    return Plain(
        zone=str(made.timezone),
        currency=made.currency,
        humans=frozenset(s.id for s in directory.sellers),
        complete_users=directory.complete_users,
        activity={s.id: s.activity or ((0, s.active),) for s in directory.sellers},
        kinds={(p, s.id): s.kind.value for p, known in stages.items() for s in known},
        open_stages={p: [s.id for s in k if s.kind.value == "open"] for p, k in stages.items()},
        all_stages={p: [s.id for s in known] for p, known in stages.items()},
        own=own,
        excluded=frozenset(lines[name] for name in document.pipelines.get("exclude", [])),
        fields={
            name: custom[str(chosen)]
            for name, chosen in document.fields.items()
            if chosen not in {"default", "price"}
        },
        field_names={f.id: f.name for f in directory.fields},
        task_kinds={k.id: k.name for k in directory.task_kinds},
        spam=frozenset(spam | {i for i, n in reasons if i in spam or n in spam}),
        junk=frozenset(word.casefold() for word in junk),
        stop=frozenset(text.strip().casefold() for text in document.stop_texts),
        hot_tags=frozenset(tag.casefold() for tag in document.hot_tags),
        test_tags=frozenset(tag.casefold() for tag in document.test_tags),
        work={seller: work_of(made, seller) for seller in ("", *(s.id for s in directory.sellers))},
    )


def _by_ids(said: dict[str, Any], stages: dict[str, str], custom: dict[str, str]) -> dict[str, Any]:
    found = dict(said)
    for name in ("mandatory", "commented"):
        found[name] = [stages[title] for title in said.get(name, [])]
    found["required"] = {
        stages[title]: [custom.get(token, token) for token in tokens]
        for title, tokens in said.get("required", {}).items()
    }
    if "late_from" in said:
        found["late_from"] = stages[said["late_from"]]
    return found


def work_of(made: Config, seller: str) -> Work:
    """The hours of a seller in the settings' own words."""
    own, work = made.document.sellers.get(seller), made.document.work
    week = own.week if own and own.week else work.week
    away = tuple((a.from_, a.to) for a in own.absent) if own else ()
    return Work(
        str(made.timezone), week, work.holidays, work.shorten,
        tuple(sorted(work.exceptions.items())), away,
    )  # fmt: skip


class Change(NamedTuple):
    """From `at` on it is so; who told it."""

    at: int
    value: Any
    author: str | None


def settled(told: Sequence[Change]) -> list[Change]:
    """Real changes: of one instant the last telling; what one person undid at once is out."""
    found: list[Change] = []
    for at in sorted({change.at for change in told}):
        now = [change for change in told if change.at == at]
        last = now[-1]
        while now and now[-1].value == last.value:
            last = Change(at, last.value, last.author if now[-1].author is None else now[-1].author)
            now.pop()
        if not found or found[-1].value != last.value:
            found.append(last)
    while (place := next(filter(lambda n: _undone(found, n), range(len(found))), None)) is not None:
        del found[place : place + 2]
    return found


def _undone(changes: Sequence[Change], n: int) -> bool:
    """Whether the n-th change is taken back by the one after it."""
    if n == 0 or n + 1 >= len(changes):
        return False
    before, wrong, back = changes[n - 1 : n + 2]
    by_one, at_once = wrong.author == back.author, back.at - wrong.at <= CORRECTED_WITHIN
    return bool(before.value == back.value and by_one and at_once)


def last_before(changes: Iterable[Change], at: int) -> Change | None:
    """What holds at an instant."""
    found = None
    for change in changes:
        if change.at <= at:
            found = change
    return found


def ordered(facts: Iterable[Fact]) -> list[Fact]:
    """As they were told, without tasks and notes that Dozor wrote itself."""
    told = sorted(facts, key=lambda f: (f.at, f.rank, f.seen_at))
    ours = {(f.kind, f.id) for f in told if "Dozor #" in str(f.body.get("text"))}
    return [f for f in told if f.kind not in (Kind.TASK, Kind.NOTE) or (f.kind, f.id) not in ours]


def says(text: str, kind: str | None = None) -> bool:
    """Ten letters, two different words, nothing from the stop list, not the kind's own name."""
    low = text.strip().casefold()
    words = {w for w in low.split() if any(c.isalnum() for c in w)}
    if sum(c.isalpha() for c in low) < 10 or len(words) < 2:
        return False
    return low not in STOP and low != (kind or "").casefold()


class Trace(NamedTuple):
    """Something written down; `task`: the new task that says it."""

    at: int
    author: str
    says: bool
    task: str = ""


class Past:
    """The facts about one timeline, those lent to it, and the settings."""

    def __init__(
        self, subject: str, facts: Iterable[Fact], lent: Iterable[Fact], plain: Plain
    ) -> None:
        self.subject, self.plain = subject, plain
        self.own, self.lent = ordered(facts), ordered(lent)
        self.deal = [f for f in self.own if f.kind is Kind.DEAL and f.id == subject]

    def is_human(self, who: str | None) -> bool:
        """A listed user; 0 is a robot."""
        return who is not None and who not in {"", "0"} and who in self.plain.humans

    def known(self, kind: Kind, *, lent: bool = True) -> dict[str, list[Fact]]:
        """Versions by subject; the lent ones last."""
        found: dict[str, list[Fact]] = {}
        for fact in (*self.own, *(self.lent if lent else ())):
            if fact.kind is kind:
                found.setdefault(fact.id, []).append(fact)
        return found

    @cached_property
    def created_at(self) -> int | None:
        """As the newest version says."""
        found: int | None = last_of(self.deal, "created_at")
        return found

    @cached_property
    def start(self) -> int:
        """Since when the deal is known to be."""
        first = self.deal[0].at
        return first if self.created_at is None else min(first, self.created_at)

    @lru_cache  # noqa: B019 - as many as there are examples
    def told(self, name: str) -> list[Change]:
        """Each telling of an attribute of the deal; the first one was so from the beginning."""
        found = [
            Change(f.at, f.body[name], f.body.get("author")) for f in self.deal if name in f.body
        ]
        return [found[0]._replace(at=self.start), *found[1:]] if found else []

    @lru_cache  # noqa: B019
    def field(self, chosen: str) -> list[Change]:
        """The same of a custom field; of single fields nothing is known without a whole set."""
        if not any("fields" in f.body for f in self.deal):
            return []
        found = []
        for f in self.deal:
            single = f.body.get("fields_changed", {})
            if chosen in single or "fields" in f.body:
                value = single.get(chosen, (f.body.get("fields") or {}).get(chosen))
                found.append(Change(f.at, value or None, f.body.get("author")))
        return [found[0]._replace(at=self.start), *found]

    # --- what was said ------------------------------------------------------------------------

    @cached_property
    def lived_from(self) -> int:
        """What the client said a day before the deal and its inquiry is about an earlier one."""
        if self.created_at is None:
            return 0
        asked = [last_of(self.deal, "inquired_at")]
        asked += [last_of([f for f in self.lent if f.kind is Kind.LEAD], "created_at")]
        told: list[int] = [at for at in asked if at is not None]
        return min([self.start, *told]) - 86_400

    @lru_cache  # noqa: B019
    def calls(self, *, lent: bool = True) -> list[dict[str, Any]]:
        """Calls as last told; one that the exchange tells twice is one."""
        found, seen = [], set()
        for call, versions in sorted(self.known(Kind.CALL, lent=lent).items()):
            body = merged(versions)
            if body.get("deleted") or body.get("started_at") is None:
                continue
            twice = (body.get("uniq") or call, body.get("direction") == "out")
            if twice not in seen:
                seen.add(twice)
                found.append(body | {"id": call, "author": body.get("author") or ""})
        return found

    @lru_cache  # noqa: B019
    def notes(self) -> list[tuple[int, str, str]]:
        """(instant, author, text) of people's notes."""
        told = [merged(versions) for versions in self.known(Kind.NOTE).values()]
        return [
            (b["created_at"], b["author"], b.get("text") or "")
            for b in told
            if b.get("created_at") is not None
            and not b.get("deleted")
            and self.is_human(b.get("author"))
        ]

    @lru_cache  # noqa: B019
    def messages(self, *, lent: bool = True) -> list[tuple[int, str, str]]:
        """(when it was first told to be, direction, author)."""
        found = []
        for versions in self.known(Kind.MESSAGE, lent=lent).values():
            body = merged(versions)
            instants = [f.body["created_at"] for f in versions if f.body.get("created_at")]
            if instants and not body.get("deleted"):
                author = last_of(versions, "author") or ""
                found.append((min(instants), body.get("direction", ""), author))
        return found


def merged(versions: Sequence[Fact]) -> dict[str, Any]:
    """Each attribute as it was last told."""
    names = {name for fact in versions for name in fact.body}
    return {n: [f.body[n] for f in versions if n in f.body][-1] for n in names}


def last_of(versions: Sequence[Fact], name: str) -> Any:
    """The last value that is not null."""
    found = [f.body[name] for f in versions if f.body.get(name) is not None]
    return found[-1] if found else None
