"""Shapes on the wire that several endpoints share. They document; endpoints build the answers.

Every field is always present (`null` when unknown), so output models have no defaults.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Instant = Annotated[
    str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-23T07:00:00Z"])
]
LocalDate = Annotated[str, Field(json_schema_extra={"format": "date"}, examples=["2026-11-23"])]
Id = Annotated[str, Field(max_length=64, examples=["romashka.4815162"])]
Severity = Annotated[str, Field(description="info, warning, critical")]


class Wire(BaseModel):
    """Base of output models: closed, so that tests notice a field that nobody described."""

    model_config = ConfigDict(extra="forbid")


class Money(Wire):
    """Minor units by ISO 4217 exponent."""

    amount: int = Field(examples=[12500000])
    currency: str = Field(examples=["RUB"])


class Ref(Wire):
    """A reference, expanded one level."""

    id: Id
    name: str | None


class StageRef(Ref):
    """A stage with what it means."""

    kind: str = Field(description="open, won, lost, incoming")


class LinkedRef(Ref):
    """A reference with its page in the CRM."""

    url: str | None


class SubjectRef(LinkedRef):
    """What a rule or figure is about."""

    kind: str = Field(description="deal, task, lead, call, seller, team, account")


class ListEnd(Wire):
    """The end of every list."""

    next_cursor: str | None
    next: str | None = Field(description="address of the next page; also as Link header")


class Listed(ListEnd):
    """A list that can count."""

    total: int = Field(default=0, description="only with count=true")


class MeKey(Wire):
    """The key that asks."""

    id: str
    name: str
    prefix: str
    scopes: list[str]
    accounts: list[str]
    expires_at: Instant | None


class Me(Wire):
    """Answer of `/v1/me`."""

    key: MeKey
    now: Instant
    version: str


class Health(Wire):
    """Answer of `/healthz`."""

    status: Literal["ok"]


class Ready(Wire):
    """Answer of `/readyz`."""

    status: Literal["ready", "not_ready", "stopping"]
    checks: dict[str, str]


class Version(Wire):
    """Answer of `/version`."""

    version: str
    commit: str | None
    api: str


class Fault(Wire):
    """One fault; exactly one of parameter, pointer, header is set."""

    parameter: str | None
    pointer: str | None
    header: str | None
    code: str
    detail: str
    did_you_mean: list[str]


class Problem(BaseModel):
    """Any error (RFC 9457). Compare `code`, never texts."""

    model_config = ConfigDict(extra="allow")
    type: str = Field(examples=["urn:dozor:problem:unknown_parameter"])
    code: str = Field(examples=["unknown_parameter"])
    title: str
    status: int
    detail: str
    instance: str | None
    request_id: str
    errors: list[Fault]


Open = dict[str, Any]
