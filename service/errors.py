"""Every error that Dozor raises on purpose.

DozorError
├── ConfigError            a setting, file or command cannot be used; the text names the field
├── PayloadNotUnderstood   an inbox body cannot be read: the row is parked with `reason`
├── SourceUnavailable      a CRM (or what stands before it) did not answer usefully; try later
│   ├── SourceRefused      the CRM says no for good (token, right, plan): a person must act
│   ├── SourceRejected     the CRM will never take this request, whoever asks
│   ├── SourceMoved        the portal has another address now
│   └── SourceLimited      the CRM asks for a pause of `retry_after` seconds
├── ApiError               an HTTP answer with a problem code (api.md 1.1)
└── ChannelError           a message did not go out; `retry_after` seconds if the channel said so
"""

from dataclasses import dataclass, field
from typing import Any


class DozorError(Exception):
    """The root: its text is one clear sentence that may be shown to the user."""


class ConfigError(DozorError):
    """A setting, a file or a command line cannot be used. The text names the field."""


class PayloadNotUnderstood(DozorError):  # noqa: N818 - reads as a sentence where it is caught
    """A body that an adapter cannot turn into facts. `reason` is a short snake_case code."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


class SourceUnavailable(DozorError):  # noqa: N818
    """The CRM did not answer, or answered what cannot be used; the same call may work later."""


class SourceRefused(SourceUnavailable):
    """The CRM refuses until a person acts (token dead, right or plan missing)."""


class SourceRejected(SourceUnavailable):
    """The CRM says what is wrong with this request: it will never take it."""


class SourceMoved(SourceUnavailable):
    """The portal answers at `base_url` now (it was renamed)."""

    def __init__(self, base_url: str) -> None:
        super().__init__(f"the portal has moved to {base_url}")
        self.base_url = base_url


class SourceLimited(SourceUnavailable):
    """The CRM asks to slow down: wait `retry_after` seconds of the portal's time."""

    def __init__(self, detail: str, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ChannelError(DozorError):
    """A message was not delivered. `final`: another try cannot help."""

    def __init__(
        self,
        detail: str,
        *,
        final: bool = False,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.final = final
        self.retry_after = retry_after
        self.status = status


@dataclass
class ApiError(DozorError):
    """An HTTP problem: `code` from the registry of api.md 1.1, with all faults found."""

    status: int
    code: str
    detail: str
    errors: list[dict[str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.detail
