"""Bitrix24 REST: fetching what was touched, reading history and changes, checking."""

from collections.abc import Iterator, Sequence

from service.crm.bitrix24 import binding, directory, nudges, survey
from service.crm.bitrix24.past import Past
from service.crm.bitrix24.readers import Readers
from service.crm.bitrix24.rest import Rest
from service.crm.steps import Cursor, read_all, read_changes
from service.domain.directory import Directory
from service.domain.facts import Fact, Kind, Touched
from service.domain.findings import Finding
from service.domain.instant import Instant
from service.domain.ports import Connection, HookState, Nudge, Page, PortalHttp
from service.errors import SourceRefused
from service.http import usable

SCOPES = ("crm", "task", "user", "telephony")
BY_HAND = (
    "Bitrix24 lets only applications subscribe over the API; in the portal open Applications -> "
    "Developer resources -> Other -> Outgoing webhook, paste the hook address, choose the events "
    "of deals, leads, contacts, companies, activities, tasks, calls, timeline comments and smart "
    "process items (invoices), and give its token with: dozor account application-token ACCOUNT "
    "TOKEN"
)


class BitrixClient:
    """REST of one Bitrix24 portal."""

    def __init__(self, connection: Connection, http: PortalHttp) -> None:
        self._connection = connection
        self._http = http
        self._is_application = not connection.secrets.get("token")
        self._rest = Rest(connection, http)
        self._readers = Readers(self._rest, connection)

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def read_directory(self) -> Directory:
        """Users with departments, pipelines with stages, user fields, the portal itself."""
        with usable("directory"):
            return directory.read(self._rest)

    def fetch(self, touched: Sequence[Touched]) -> list[Fact]:
        """Present images and exact histories of touched subjects, in few batches.

        What is gone is told as deleted at instant 0: "when it was noticed".
        """
        ids: dict[Kind, list[str]] = {}
        for subject in touched:
            ids.setdefault(subject.kind, []).append(subject.id)
        tasks, read = ids.get(Kind.TASK, []), self._readers
        with usable("fetching"):
            return [
                *read.deals(ids.get(Kind.DEAL, [])),
                *read.tasks([task[1:] for task in tasks if task.startswith("t")]),
                *read.activities([task[1:] for task in tasks if task.startswith("a")]),
                *read.calls([call[1:] for call in ids.get(Kind.CALL, [])]),
                *read.comments(ids.get(Kind.NOTE, [])),
                *read.leads(ids.get(Kind.LEAD, [])),
                *read.persons(ids.get(Kind.CONTACT, [])),
                *read.invoices.read([key[1:] for key in ids.get(Kind.PAYMENT, [])]),
            ]

    def backfill(self, since: Instant | None, cursor: Cursor | None) -> Iterator[Page]:
        """Deals with stage histories and comments, tasks, to-dos, inquiries, invoices, calls."""
        return read_all(Past(self._readers).steps(), since, cursor)

    def changes(self, cursor: Cursor | None) -> Iterator[Page]:
        """What changed since the cursor's marks, with an overlap."""
        return read_changes(Past(self._readers).steps(), cursor)

    def listed(self, kind: Kind) -> Iterator[list[str]] | None:
        """Ids of deals, of tasks and to-dos, of invoices."""
        return survey.ids(self._rest, kind)

    def subscribe(self, hook_url: str) -> None:
        """An application binds its events; for an incoming webhook it is done by hand.

        Raises:
            SourceRefused: says what a person has to do.
        """
        if not self._is_application:
            raise SourceRefused(BY_HAND)
        with usable("subscription"):
            binding.bind(self._rest, hook_url)

    def hook_state(self, hook_url: str) -> HookState:
        """What `event.get` says; it does not know outgoing webhooks."""
        if not self._is_application:
            return HookState.UNKNOWN
        with usable("subscription"):
            return binding.state(self._rest, hook_url)

    def access_ends(self) -> Instant | None:
        """An incoming webhook does not tell; an application's access is renewed."""
        return None

    def nudge(self, nudge: Nudge) -> str:
        """A to-do or a comment on the deal, or a notification to the seller."""
        with usable("nudge"):
            return nudges.write(self._rest, nudge)

    def find_nudge(self, nudge: Nudge) -> str | None:
        """The to-do or comment with the mark; a notification replaces itself."""
        with usable("nudge"):
            return nudges.find(self._rest, nudge)

    def check(self) -> list[Finding]:
        """Rights and scopes, as far as reading shows them."""
        with usable("check"):
            profile = self._rest.call("profile") or {}
            scopes = self._rest.optional("scope") or []
        findings = [
            Finding("portal", True, {"error": "", "name": self._connection.base_url}),
            Finding("administrator", bool(profile.get("ADMIN"))),
            *(Finding("scope", scope in scopes, {"scope": scope}) for scope in SCOPES),
        ]
        if not self._is_application:  # an application learns it
            given = bool(self._connection.secrets.get("application_token"))
            findings.append(Finding("application_token", given))
        return findings

    def skew_seconds(self) -> float | None:
        """By the header Date."""
        return self._http.skew
