"""Events that an application has bound over the API: event.bind, event.get, event.unbind."""

import hashlib

from service.portal.bitrix24.events import EVENTS, Outgoings
from service.portal.bitrix24.methods import Method
from service.portal.bitrix24.params import Params, RestError, Result
from service.portal.office import Office

APP_EVENTS = (*EVENTS, "ONAPPINSTALL", "ONAPPUNINSTALL", "ONCRMTIMELINECOMMENTUPDATE",
              "ONCRMTIMELINECOMMENTDELETE", "ONCRMDEALMOVETOCATEGORY")  # fmt: skip


class Bound:
    """The events of the local application; one application a portal."""

    def __init__(self, office: Office, outgoings: Outgoings) -> None:
        self._outgoings = outgoings
        self.token = hashlib.sha256(f"app {office.subdomain}".encode()).hexdigest()[:32]
        self._bound: dict[str, list[str]] = {}  # handler -> events

    def methods(self) -> dict[str, Method]:
        """By name."""
        return {"event.bind": self._bind, "event.get": self._get, "event.unbind": self._unbind}

    def _bind(self, params: Params) -> Result:
        event, handler = self._asked(params)
        if event not in APP_EVENTS:
            raise RestError(400, "ERROR_EVENT_NOT_FOUND", "Event not found")
        bound = self._bound.setdefault(handler, [])
        if event in bound:
            raise RestError(400, "ERROR_CORE", "Unable to set event handler: already bound")
        bound.append(event)
        self._tell(handler)
        return Result(True)

    def _get(self, _params: Params) -> Result:
        return Result(
            [
                {"event": event, "handler": handler, "auth_type": "0", "offline": 0}
                for handler, events in self._bound.items()
                for event in events
            ]
        )

    def _unbind(self, params: Params) -> Result:
        event, handler = self._asked(params)
        bound = self._bound.get(handler, [])
        count = int(event in bound)
        if count:
            bound.remove(event)
            self._tell(handler)
        return Result({"count": count})

    def _asked(self, params: Params) -> tuple[str, str]:
        event, handler = str(params.get("event", "")).upper(), str(params.get("handler", ""))
        if not event or not handler.startswith(("http://", "https://")):
            raise RestError(400, "ERROR_ARGUMENT", "Wrong handler URL")
        return event, handler

    def _tell(self, handler: str) -> None:
        """What of it the portal raises by itself goes the way of outgoing webhooks."""
        events = [event for event in self._bound[handler] if event in EVENTS]
        self._outgoings.put(handler, events, self.token)
