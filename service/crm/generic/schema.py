"""What `POST /hooks/generic/{token}` takes: facts in plain words.

A member that is absent was not told and keeps its value; null says that it is empty. Instants are
ISO 8601 with a zone, money is whole minor units (kopecks) and a currency. Every fact has `at`:
when it became so in the CRM; order of arrival and repetitions do not matter.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

Id = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[A-Za-z0-9_.-]+$")]
Text = Annotated[str, Meta(max_length=500)]
Name = Annotated[str, Meta(max_length=200)]
When = Annotated[datetime, Meta(tz=True)]
Money = Annotated[int, Meta(ge=0, le=10**15)]
Phone = Annotated[str, Meta(max_length=40)]
Email = Annotated[str, Meta(max_length=254)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$")]


class _Strict(Struct, kw_only=True, forbid_unknown_fields=True):
    pass


class _Fact(_Strict, tag_field="type"):
    id: Id
    at: When


class Deal(_Fact, tag="deal"):
    """A deal. `seller`: who is responsible; `author`: who made this change, "0" = a robot."""

    name: Name | UnsetType = UNSET
    pipeline: Id | UnsetType = UNSET
    stage: Id | UnsetType = UNSET
    amount: Money | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET
    seller: Id | UnsetType | None = UNSET
    created_at: When | UnsetType = UNSET
    author: Id | UnsetType | None = UNSET
    loss_reason: Id | UnsetType | None = UNSET
    contacts: list[Id] | UnsetType = UNSET
    fields: dict[str, Text] | UnsetType = UNSET
    source: Name | UnsetType | None = UNSET
    deleted: bool | UnsetType = UNSET


class Task(_Fact, tag="task"):
    """A task of a seller. `open`: not done yet; `result`: what came of it.

    With `starts_at` it is a meeting from then until `due_at`.
    """

    text: Text | UnsetType = UNSET
    deal: Id | UnsetType | None = UNSET
    contact: Id | UnsetType | None = UNSET
    seller: Id | UnsetType | None = UNSET
    created_at: When | UnsetType = UNSET
    author: Id | UnsetType | None = UNSET
    due_at: When | UnsetType | None = UNSET
    starts_at: When | UnsetType = UNSET
    open: bool | UnsetType = UNSET
    result: Text | UnsetType | None = UNSET
    deleted: bool | UnsetType = UNSET


class Call(_Fact, tag="call"):
    """A call that has ended. `seller`: who talked."""

    direction: Literal["in", "out"]
    answered: bool
    seconds: Annotated[int, Meta(ge=0, le=86_400)]
    started_at: When
    seller: Id | None = None
    deal: Id | None = None
    contact: Id | None = None
    deleted: bool | UnsetType = UNSET


class Note(_Fact, tag="note"):
    """A note or comment by a person."""

    text: Text
    deal: Id | None = None
    contact: Id | None = None
    author: Id | None = None
    deleted: bool | UnsetType = UNSET


class Inquiry(_Fact, tag="inquiry"):
    """An incoming request; `deal`: what it became."""

    state: Literal["new", "in_work", "accepted", "declined"]
    created_at: When | UnsetType = UNSET
    closed_at: When | UnsetType | None = UNSET
    name: Name | UnsetType = UNSET
    source: Name | UnsetType | None = UNSET
    pipeline: Id | UnsetType | None = UNSET
    deal: Id | UnsetType | None = UNSET
    seller: Id | UnsetType | None = UNSET


class Contact(_Fact, tag="contact"):
    """A client: whether there is a way to reach them.

    `phones` and `emails` tell that two clients are one: keyed hashes are made of them on receipt,
    the values are not kept.
    """

    has_phone: bool | UnsetType = UNSET
    has_email: bool | UnsetType = UNSET
    phones: Annotated[list[Phone], Meta(max_length=20)] | UnsetType = UNSET
    emails: Annotated[list[Email], Meta(max_length=20)] | UnsetType = UNSET
    deleted: bool | UnsetType = UNSET


class Payment(_Strict, tag_field="type", tag="payment"):
    """Money received for a deal; given back, it is below 0. Told again, it replaces what it was."""

    id: Annotated[str, Meta(min_length=1, max_length=32, pattern="^[A-Za-z0-9_.-]+$")]
    at: When
    deal: Id
    amount: Annotated[int, Meta(ge=-(10**15), le=10**15)]
    currency: Currency
    paid_at: When
    deleted: bool | UnsetType = UNSET


class Seller(_Strict):
    """Who works in the CRM."""

    id: Id
    name: Name
    team: Name | None = None
    active: bool = True


class Stage(_Strict):
    """A stage, in the order of the list."""

    id: Id
    name: Name
    kind: Literal["incoming", "open", "won", "lost"] = "open"


class Pipeline(_Strict):
    """A pipeline with all its stages."""

    id: Id
    name: Name
    stages: Annotated[list[Stage], Meta(min_length=1, max_length=200)]


class Named(_Strict):
    """A loss reason or a field."""

    id: Id
    name: Name


class Directory(
    Struct, kw_only=True, forbid_unknown_fields=True, tag="directory", tag_field="type"
):
    """The whole directory: what is not in it any more is no longer listed."""

    sellers: Annotated[list[Seller], Meta(max_length=5_000)]
    pipelines: Annotated[list[Pipeline], Meta(min_length=1, max_length=200)]
    loss_reasons: list[Named] = []
    fields: list[Named] = []
    timezone: Name | None = None
    currency: Currency | None = None


Item = Deal | Task | Call | Note | Inquiry | Contact | Payment | Directory


class Body(_Strict):
    """Facts of one request, applied all or not at all."""

    facts: Annotated[list[Item], Meta(min_length=1, max_length=5_000)]


def json_schema() -> dict[str, object]:
    """The JSON Schema (2020-12) of a body."""
    schema = msgspec.json.schema(Body)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
