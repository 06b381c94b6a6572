"""Subscriptions of account webhooks: /api/v4/webhooks, and when amoCRM switches one off."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
from starlette.responses import Response

from service.portal.amocrm.answers import Json, hal, nothing, problem
from service.portal.amocrm.query import Ask
from service.portal.office import Office, unix

_KINDS = {
    "lead": "add update delete restore status responsible note",
    "contact": "add update delete restore responsible note",
    "company": "add update delete restore responsible note",
    "customer": "add update delete responsible note",
    "task": "add update delete responsible",
    "talk": "add update",
    "unsorted": "add update delete",
    "message": "add",
    "outgoing_message": "add",
    "chat_template_review": "add",
}
SETTINGS = frozenset(f"{verb}_{name}" for name, verbs in _KINDS.items() for verb in verbs.split())
MOST_HOOKS = 100
MOST_BAD_ANSWERS = 100
BAD_WINDOW = timedelta(hours=2)


@dataclass
class Hook:
    """One subscription; `bad` are the instants of the bad answers of the last two hours."""

    id: int
    destination: str
    settings: list[str]
    created_at: int
    updated_at: int
    sort: int
    disabled: bool = False
    bad: deque[datetime] = field(default_factory=deque)


class Hooks:
    """All subscriptions of a portal, by destination."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._hooks: dict[str, Hook] = {}
        self._last_id = 839_000

    def subscribed(self, *settings: str) -> list[str]:
        """Destinations of the hooks that are on and want any of these settings."""
        return [
            hook.destination
            for hook in self._hooks.values()
            if not hook.disabled and not set(settings).isdisjoint(hook.settings)
        ]

    def is_on(self, destination: str) -> bool:
        """Is there such a hook, and is it switched on."""
        hook = self._hooks.get(destination)
        return hook is not None and not hook.disabled

    def note_answer(self, destination: str, code: int) -> None:
        """Remember bad answers; more than 100 in two hours switch the hook off."""
        hook = self._hooks.get(destination)
        if hook is None or 100 <= code < 300:
            return
        now = self._office.clock.now()
        hook.bad.append(now)
        while hook.bad[0] < now - BAD_WINDOW:
            hook.bad.popleft()
        if len(hook.bad) > MOST_BAD_ANSWERS:
            hook.disabled = True

    def state(self) -> list[Json]:
        """Every hook as the API shows it."""
        return [self._render(hook) for hook in self._hooks.values()]

    def read(self, ask: Ask) -> Response:
        """GET /api/v4/webhooks."""
        wanted = ask.text("filter", "destination")
        found = [row for row in self.state() if wanted in (None, row["destination"])]
        if not found:
            return nothing()
        links = {"self": {"href": f"{self._office.base_url}{ask.path}"}}
        body = {"_total_items": len(found), "_links": links, "_embedded": {"webhooks": found}}
        return hal(body)

    def subscribe(self, ask: Ask) -> Response:
        """POST /api/v4/webhooks: a new hook (201) or new settings of a known one (200)."""
        body = _object(ask.body)
        destination, settings = body.get("destination"), body.get("settings")
        if not isinstance(destination, str) or not destination.startswith(("http://", "https://")):
            return _invalid("destination", "This value is not a valid URL.")
        if not isinstance(settings, list) or not settings:
            return _invalid("settings", "This value should not be blank.")
        unknown = [name for name in settings if name not in SETTINGS]
        if unknown:
            return _invalid("settings", f"The value you selected is not a valid choice: {unknown}")
        now = unix(self._office.clock.now())
        known = self._hooks.get(destination)
        if known is None and len(self._hooks) >= MOST_HOOKS:
            return _invalid("destination", f"Limit {MOST_HOOKS} webhooks per account")
        sort = body.get("sort")
        self._last_id += known is None
        hook = Hook(
            id=self._last_id if known is None else known.id,
            destination=destination,
            settings=list(settings),
            created_at=now if known is None else known.created_at,
            updated_at=now,
            sort=sort if isinstance(sort, int) else 0,
        )
        self._hooks[destination] = hook
        return hal(self._render(hook), 201 if known is None else 200)

    def unsubscribe(self, ask: Ask) -> Response:
        """DELETE /api/v4/webhooks with the destination in a JSON body."""
        destination = _object(ask.body).get("destination")
        if not isinstance(destination, str):
            return _invalid("destination", "This value should not be blank.")
        if self._hooks.pop(destination, None) is None:
            return problem(404, "Webhook not found")
        return nothing()

    def _render(self, hook: Hook) -> Json:
        admin = self._office.admin()
        return {
            "id": hook.id,
            "destination": hook.destination,
            "created_at": hook.created_at,
            "updated_at": hook.updated_at,
            "account_id": self._office.account_id,
            "created_by": admin.id if admin else 0,
            "sort": hook.sort,
            "disabled": hook.disabled,
            "settings": hook.settings,
        }


def _object(body: bytes) -> Json:
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _invalid(path: str, detail: str) -> Response:
    errors = [{"code": "NotSupportedChoice", "path": path, "detail": detail}]
    told = [{"request_id": "0", "errors": errors}]
    return problem(400, "Request validation failed", **{"validation-errors": told})
