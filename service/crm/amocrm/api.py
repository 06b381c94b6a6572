"""amoCRM REST: fetching what was touched, reading history and changes, subscribing, checking."""

from collections.abc import Iterator, Sequence

from service.crm.amocrm import directory, nudges, oauth
from service.crm.amocrm.past import Past
from service.crm.amocrm.readers import Readers
from service.crm.amocrm.rest import Rest, refuse
from service.crm.steps import Cursor, read_all, read_changes
from service.domain.directory import Directory
from service.domain.facts import Fact, Kind, Touched
from service.domain.findings import Finding
from service.domain.instant import Instant
from service.domain.ports import Connection, HookState, Nudge, Page, PortalHttp
from service.errors import SourceRefused
from service.http import usable

HOOKS = (
    "add_lead", "update_lead", "delete_lead", "restore_lead", "status_lead", "responsible_lead",
    "note_lead", "add_task", "update_task", "delete_task", "responsible_task", "note_contact",
    "note_company", "add_contact", "update_contact", "add_unsorted", "delete_unsorted",
    "add_message", "add_outgoing_message", "update_talk",
)  # fmt: skip
RARE_HOOKS = frozenset({"add_outgoing_message", "update_talk"})  # not every portal has them
DOUBTFUL_HOOKS = RARE_HOOKS | {
    "update_task", "add_unsorted", "delete_unsorted", "note_company", "add_message",
}  # fmt: skip


class AmoClient:
    """REST of one amoCRM account."""

    def __init__(self, connection: Connection, http: PortalHttp) -> None:
        self._http = http
        self._token = connection.secrets.get("token", "")
        self._rest = Rest(connection, http)
        self._readers = Readers(self._rest, connection)

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def read_directory(self) -> Directory:
        """Account, users, pipelines, loss reasons, custom fields."""
        with usable("directory"):
            return directory.read(self._rest)

    def fetch(self, touched: Sequence[Touched]) -> list[Fact]:
        """Present images of touched deals (with their persons), tasks, calls and persons.

        What is gone is told as deleted at instant 0: "when it was noticed".
        """
        ids: dict[Kind, list[str]] = {}
        for subject in touched:
            ids.setdefault(subject.kind, []).append(subject.id)
        with usable("fetching"):
            facts = self._readers.deals(ids.get(Kind.DEAL, []))
            facts += self._readers.tasks(ids.get(Kind.TASK, []))
            facts += self._readers.calls([call[1:] for call in ids.get(Kind.CALL, [])])
            facts += self._readers.invoices.read(ids.get(Kind.PAYMENT, []))
            return facts + self._readers.persons(ids.get(Kind.CONTACT, []), of=facts)

    def backfill(self, since: Instant | None, cursor: Cursor | None) -> Iterator[Page]:
        """Deals, tasks, notes, inquiries, invoices, then what events tell of the past."""
        return read_all(Past(self._readers).steps(), since, cursor)

    def changes(self, cursor: Cursor | None) -> Iterator[Page]:
        """What changed since the cursor's marks, with an overlap."""
        return read_changes(Past(self._readers).steps(), cursor)

    def listed(self, kind: Kind) -> Iterator[list[str]] | None:
        """Inquiries that wait; of deals and tasks events tell what was deleted (`changes`)."""
        return Past(self._readers).waiting() if kind is Kind.LEAD else None

    def subscribe(self, hook_url: str) -> None:
        """Register the hook; names that this portal does not know are left out.

        Raises:
            SourceRefused: what a person has to do.
        """
        for left_out in (frozenset[str](), RARE_HOOKS, DOUBTFUL_HOOKS):
            settings = [name for name in HOOKS if name not in left_out]
            body = {"destination": hook_url, "settings": settings, "sort": 10}
            answer = self._rest.post("/api/v4/webhooks", body)
            if answer.status not in {400, 422}:
                refuse(answer)
                if b'"disabled":true' in answer.body.replace(b" ", b""):  # known, and still off
                    self._rest.delete("/api/v4/webhooks", {"destination": hook_url})
                    refuse(self._rest.post("/api/v4/webhooks", body))
                return
        raise SourceRefused(
            "the portal did not take the hook; add it by hand: settings -> WebHooks"
        )

    def hook_state(self, hook_url: str) -> HookState:
        """What the list of webhooks says; UNKNOWN without the right to read it."""
        with usable("subscription"):
            try:
                hooks = self._rest.all("/api/v4/webhooks", "webhooks")
            except SourceRefused:
                return HookState.UNKNOWN
        ours = [hook for hook in hooks if hook.get("destination") == hook_url]
        if not ours:
            return HookState.MISSING
        return HookState.OFF if all(hook.get("disabled") for hook in ours) else HookState.ON

    def access_ends(self) -> Instant | None:
        """When a long-lived token ends (its claim `exp`)."""
        return oauth.ends_at(self._token)

    def nudge(self, nudge: Nudge) -> str:
        """A task or a note on the deal."""
        with usable("nudge"):
            return nudges.write(self._rest, nudge)

    def find_nudge(self, nudge: Nudge) -> str | None:
        """The task or note with the mark."""
        with usable("nudge"):
            return nudges.find(self._rest, nudge)

    def check(self) -> list[Finding]:
        """Token and rights, as far as reading shows them."""
        with usable("check"):
            account = self._rest.get("/api/v4/account")
            _, complete = directory.users(self._rest)
        name = {"name": account.get("name")}
        return [Finding("portal", True, {"error": "", **name}), Finding("users", complete)]

    def skew_seconds(self) -> float | None:
        """By the header Date."""
        return self._http.skew
