"""Shapes of accounts, sellers, pipelines, teams on the wire (api.md 3.2)."""

from pydantic import Field

from service.api.schemas import Instant, Listed, Ref, Wire


class Account(Wire):
    """A connected CRM portal."""

    id: str = Field(examples=["romashka"])
    name: str
    crm: str = Field(description="amocrm, bitrix24")
    base_url: str
    timezone: str = Field(examples=["Europe/Moscow"])
    currency: str = Field(examples=["RUB"])
    status: str = Field(description="active, disabled, error")
    last_event_at: Instant | None
    data_through: Instant = Field(description="all facts up to here are known")
    lag_seconds: int
    pending: int = Field(description="received and not yet worked on; 0 = all is in the answers")


class Judging(Wire):
    """How far a change of settings, rules or directory has been judged."""

    state: str = Field(description="idle, running")
    done: int = Field(description="timelines judged, of this or the last change")
    total: int | None = Field(description="of so many; null: not counted yet")
    version: int = Field(description="grows with each change")


class AccountHealth(Wire):
    """How true our picture of a portal is."""

    account: str = Field(examples=["romashka"])
    status: str = Field(description="active, disabled, error")
    error: str | None = Field(description="what to do about it")
    backfill: str = Field(description="none, running, done")
    hooks_received: int = Field(description="hooks that were worked on")
    hooks_lost: int = Field(description="changes that no hook told, repaired by reconciliation")
    hook: str = Field(description="on, off, missing, unknown: as the CRM last said")
    limit_left: float = Field(description="share of the CRM's rate limit that is free, 0 to 1")
    limit_paused_until: Instant | None = Field(description="the CRM asked for a pause until then")
    portal: str = Field(description="answers, down: as the workers last found it")
    portal_down_since: Instant | None
    portal_next_try_at: Instant | None = Field(description="it is left alone until then")
    portal_error: str | None = Field(description="what it answered, or that it did not")
    access_ends_at: Instant | None = Field(description="when a long-lived token ends")
    last_event_at: Instant | None
    reconciled_at: Instant | None = Field(description="all that changed in the CRM before is known")
    reconcile_error: str | None = Field(description="why the last reconciliation failed")
    lag_seconds: int
    pending: int
    drift: int = Field(
        description="subjects whose stored results a fresh derivation contradicts; must be 0"
    )
    parked: int = Field(description="hooks that nobody understood")
    waiting_to_be_fetched: int = Field(description="subjects to read from the CRM")
    judging: Judging


class FieldMeaning(Wire):
    """What a custom field of deals is taken for."""

    meaning: str = Field(examples=["source"], description="source, budget, loss_reason")
    field: str | None = Field(description="its id in the CRM; null = the CRM's own member")
    name: str | None
    guesses: list[str] = Field(description="ids of fields whose code or name suggests it")


class CustomFieldView(Wire):
    """A custom field of deals."""

    id: str = Field(examples=["501"])
    name: str
    type: str
    code: str | None
    required_stages: list[str] = Field(description="stages that need it, by the CRM or by settings")


class AccountFields(Wire):
    """Custom fields of deals and what they mean; changed in the settings document (`fields`)."""

    account: str = Field(examples=["romashka"])
    meanings: list[FieldMeaning]
    fields: list[CustomFieldView]


class AccountList(Listed):
    """A page of accounts."""

    data: list[Account]


class Seller(Wire):
    """A user of the CRM who may be responsible for deals."""

    id: str = Field(examples=["romashka.7"])
    account: str
    crm_id: str
    name: str
    team: Ref | None
    person: str | None = Field(description="the same in all portals of a person")
    active: bool
    timezone: str | None
    open_deals_limit: int | None = Field(description="null: not judged")


class SellerList(Listed):
    """A page of sellers."""

    data: list[Seller]


class Stage(Wire):
    """A stage of a pipeline."""

    id: str = Field(examples=["romashka.31.142"])
    crm_id: str
    name: str
    sort: int
    kind: str = Field(description="open, won, lost, incoming")
    norm_seconds: int | None = Field(
        description="how long a deal may stay (working time); null: no norm"
    )


class Pipeline(Wire):
    """A pipeline with its stages in order."""

    id: str = Field(examples=["romashka.31"])
    account: str
    crm_id: str
    name: str
    stages: list[Stage]


class PipelineList(Listed):
    """A page of pipelines."""

    data: list[Pipeline]


class Team(Wire):
    """Sellers that work together; one team may span several accounts."""

    id: str
    name: str
    sellers: list[Ref]


class TeamList(Listed):
    """A page of teams."""

    data: list[Team]
