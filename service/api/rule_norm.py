"""`GET /v1/rules/{id}/norm`: the norm that the department's own pace would give; a proposal."""

from fastapi import Depends
from pydantic import Field
from starlette.responses import Response

from service.api.auth import require
from service.api.deps import CallDep, json_answer
from service.api.names import visible_names
from service.api.problems import not_found, problem
from service.api.router import Router
from service.api.rule_files import WhoseParam, whose_rules
from service.api.schemas import Wire
from service.errors import ConfigError

router = Router(prefix="/v1", tags=["Rules"])


class Proposed(Wire):
    """What holds, and what would be kept by the given share of the waits that have ended."""

    current: str = Field(examples=["5wd"])
    proposed: str | None = Field(description="null: too few waits to tell", examples=["3wd"])
    samples: int
    running: int = Field(description="waits that go on: not counted")
    median_seconds: int | None = Field(description="of the kind of time that the norm counts")
    seconds: int | None = Field(description="the percentile, before it is rounded up")


class ProposedApart(Proposed):
    """The same for one stage, pipeline, source, category or kind of tasks."""

    name: str


class Basis(Wire):
    """What is looked at."""

    percentile: int
    days: int
    of: str = Field(description="all; won: the waits of deals that were won in this time")
    times: float = Field(description="the percentile is multiplied by it")
    least: int = Field(description="with fewer waits nothing is proposed")


class RuleNorm(Proposed):
    """A proposal for one rule of an account. It becomes active only if somebody sets it."""

    rule: str
    account: str
    by: list[ProposedApart]
    basis: Basis
    failed: int = Field(description="timelines of which the rule has no answer")


@router.get(
    "/rules/{rule_id}/norm",
    response_model=RuleNorm,
    dependencies=[Depends(require("violations:read"))],
)
def propose_norm(call: CallDep, rule_id: str, account: WhoseParam = None) -> Response:
    """The norm that lies at a percentile of what the department did lately; nothing is changed.

    It reads the timelines of which something was told in that time: seconds for a thousand deals.
    """
    with call.read() as connection:
        whose = whose_rules(call, connection, account)
        names = visible_names(call, connection).get(whose)
    if names is None or rule_id not in names.book.models:
        raise not_found()
    try:
        (found,) = call.services.propose_norms(whose, (rule_id,))
    except ConfigError as error:
        raise problem("conflict", f"{str(error).removeprefix('RULE: ').capitalize()}.") from None
    return json_answer(found)
