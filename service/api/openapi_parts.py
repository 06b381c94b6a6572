"""Parts of the OpenAPI document that stand nowhere in the code: hooks, security, problems."""

from typing import TYPE_CHECKING, Any

from service.api.problems import MEDIA_TYPE, PROBLEMS

if TYPE_CHECKING:
    from service.api.router import Route

INFO = """Watches a sales department's CRM: hygiene violations, workload, figures, plans, alerts.

Conventions: instants are RFC 3339 in UTC with whole seconds; money is integer minor units with a
currency; ids are opaque texts; lists are paged by `cursor` (`next_cursor`, `next`, `Link`); unknown
or repeated parameters and unknown fields are refused with 400 and `did_you_mean`; errors are
`application/problem+json`, to be told apart by `code`; every GET under `/v1` has a weak `ETag`;
every POST that creates or acts takes `Idempotency-Key`.
"""

TAGS = [
    {"name": "Violations", "description": "Hygiene violations: open, upcoming, resolved, any T."},
    {"name": "KPIs", "description": "Figures, what they are made of, the funnel."},
    {"name": "Plans", "description": "Plans, their files and states, plan against fact."},
    {"name": "Workload", "description": "Who has how much, who has room."},
    {"name": "Hygiene", "description": "The hygiene index: how well the CRM is kept."},
    {"name": "Directory", "description": "Accounts, sellers, pipelines, teams."},
    {"name": "Deals and tasks", "description": "Deals and tasks as they are now."},
    {"name": "Rules", "description": "Rules in force and their check."},
    {"name": "Exports", "description": "Whole tables as files, for spreadsheets and BI."},
    {"name": "Alerts", "description": "Messages to receivers."},
    {"name": "Subscriptions", "description": "Outgoing webhooks."},
    {"name": "Hooks", "description": "What a CRM calls."},
    {"name": "Administration", "description": "Settings and the inbox (scope admin)."},
    {"name": "Key", "description": "The key itself."},
    {"name": "Operations", "description": "Health, version, metrics."},
]

SECURITY: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "dzr_..."},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "any user name, the key as password",
    },
}

_PROBLEM_TEXTS = {
    400: "The address or body is malformed; every fault is in `errors`",
    401: "No valid key",
    403: "The key has not the scope",
    404: "Nothing here for this key",
    409: "The state of the object does not allow it",
    410: "The cursor is older than what is kept",
    412: "`If-Match` names an older version",
    413: "The address or the body is too large",
    415: "The body is of another type",
    422: "The Idempotency-Key was used with another body",
    429: "Too many requests; see Retry-After",
    501: "This installation cannot do that",
    503: "The service cannot answer now; see Retry-After",
}
_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}


_OF_PATHS = (("/v1/changes", 410), (".parquet", 501), ("/norm", 409))


def problem_responses(route: "Route") -> dict[str, Any]:
    """The problems that an operation may answer."""
    if not route.path.startswith("/v1/"):
        return {}
    statuses = {400, 401, 403, 413, 429, 503}
    if "{" in route.path or route.path.startswith("/v1/rules/"):  # ?account= names an object too
        statuses.add(404)
    statuses |= {status for end, status in _OF_PATHS if route.path.endswith(end)}
    if route.body_rule is not None:
        statuses.add(415)
    if "GET" not in route.verbs:
        statuses |= {404, 409}
    if route.verbs & {"PUT", "PATCH", "DELETE"}:
        statuses.add(412)
    if "POST" in route.verbs and not route.is_safe:
        statuses.add(422)
    answers = {str(status): _problem(status) for status in sorted(statuses)}
    if "GET" in route.verbs:
        answers["304"] = {"description": "The client has it already (`If-None-Match`)"}
    return answers


def _problem(status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": _PROBLEM_TEXTS[status],
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": _example(status),
            }
        },
    }
    if status in (429, 503):
        answer["headers"] = _RETRY
    return answer


def _example(status: int) -> dict[str, Any]:
    code = next(code for code, kind in PROBLEMS.items() if kind.status == status)
    return {
        "type": f"urn:dozor:problem:{code}",
        "code": code,
        "title": PROBLEMS[code].title,
        "status": status,
        "detail": f"{_PROBLEM_TEXTS[status]}.",
        "instance": "/v1/violations",
        "request_id": "01J9ZQ4M7T5V",
        "errors": [],
    }


def _hook(crm: str, title: str, example: str) -> dict[str, Any]:
    described = {413: "over 1 MiB", 503: "try again after Retry-After seconds"}
    return {
        "post": {
            "tags": ["Hooks"],
            "summary": f"{title} webhook",
            "description": "The token in the address is the key. 200 only after the body is on "
            "the disk; a body that nobody understands is kept and parked.",
            "operationId": f"hook_{crm}",
            "security": [],
            "parameters": [
                {"name": "token", "in": "path", "required": True, "schema": {"type": "string"}}
            ],
            "requestBody": {
                "required": False,
                "content": {
                    "application/x-www-form-urlencoded": {
                        "schema": {"type": "object", "additionalProperties": True},
                        "example": example,
                    }
                },
            },
            "responses": {
                "200": {"description": "kept; the body of the answer is empty"},
                "404": _problem(404) | {"description": "no such hook"},
                **{
                    str(status): _problem(status) | {"description": text}
                    for status, text in described.items()
                },
            },
        }
    }


HOOK_PATHS = {
    "/hooks/amocrm/{token}": _hook(
        "amocrm", "amoCRM", "leads[status][0][id]=4815162&leads[status][0][status_id]=142"
    ),
    "/hooks/bitrix24/{token}": _hook(
        "bitrix24", "Bitrix24", "event=ONCRMDEALUPDATE&data[FIELDS][ID]=42&ts=1795417200"
    ),
}
