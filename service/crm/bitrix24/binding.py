"""Subscribing an application to a portal's events: event.get, event.bind, event.unbind."""

from service.crm.bitrix24.rest import Rest, rows_of
from service.domain.ports import HookState
from service.errors import SourceRefused

_SUBJECTS = ("DEAL", "LEAD", "CONTACT", "COMPANY", "ACTIVITY")
EVENTS = (
    *(f"ONCRM{name}{verb}" for name in _SUBJECTS for verb in ("ADD", "UPDATE", "DELETE")),
    "ONCRMDYNAMICITEMADD", "ONCRMDYNAMICITEMUPDATE", "ONCRMDYNAMICITEMDELETE",
    "ONCRMDEALMOVETOCATEGORY", "ONCRMTIMELINECOMMENTADD", "ONCRMTIMELINECOMMENTUPDATE",
    "ONCRMTIMELINECOMMENTDELETE", "ONTASKADD", "ONTASKUPDATE", "ONTASKDELETE",
    "ONVOXIMPLANTCALLEND", "ONUSERADD", "ONAPPUNINSTALL",
)  # fmt: skip
_NEEDED = ("ONCRMDEALADD", "ONCRMDEALUPDATE", "ONCRMDEALDELETE", "ONCRMACTIVITYADD")


def state(rest: Rest, hook_url: str) -> HookState:
    """Whether the events that Dozor cannot do without are bound."""
    bound = {event for event, handler in _bound(rest) if handler == hook_url}
    return HookState.ON if bound.issuperset(_NEEDED) else HookState.MISSING


def bind(rest: Rest, hook_url: str) -> None:
    """Bind what is missing; former addresses of this very service are let go.

    Events that this portal does not know (by its plan) are left out.

    Raises:
        SourceRefused: the needed ones could not be bound.
    """
    known = _bound(rest)
    prefix = hook_url.rpartition("/")[0] + "/"
    old = [(e, h) for e, h in known if h.startswith(prefix) and h != hook_url]
    missing = [event for event in EVENTS if (event, hook_url) not in known]
    calls = {f"u{n}": ("event.unbind", {"event": e, "handler": h}) for n, (e, h) in enumerate(old)}
    calls |= {e: ("event.bind", {"event": e, "handler": hook_url}) for e in missing}
    _, errors = rest.batch(calls)
    refused = [event for event in _NEEDED if event in errors]
    if refused:
        raise SourceRefused(
            f"the portal did not bind {', '.join(refused)}; give the application the scopes crm, "
            "task, user and telephony and install it again"
        )


def _bound(rest: Rest) -> list[tuple[str, str]]:
    return [
        (str(row.get("event", "")).upper(), str(row.get("handler", "")))
        for row in rows_of(rest.call("event.get"))
    ]
