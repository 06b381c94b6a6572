"""ETags of plans: for each account the last change of its plans and of its settings.

So the tag of any `GET /v1/plans` that showed the accounts whose rows are written is good for
`If-Match` of a PUT, whatever else the GET filtered by.
"""

import re
from collections.abc import Mapping

from starlette.requests import Request

from service.api.names import Names
from service.api.problems import fault, problem
from service.store import plans as store
from service.store.handles import Connection

_PART = re.compile(r"([a-z0-9-]+)=(\d+-\d+)")


def tag(connection: Connection, names: Mapping[str, Names]) -> str:
    """The tag of the plans of these accounts."""
    parts = _parts(connection, names)
    return 'W/"' + ";".join(f"{account}={at}" for account, at in sorted(parts.items())) + '"'


def check(request: Request, connection: Connection, names: Mapping[str, Names]) -> None:
    """Honour `If-Match` for the accounts that are written; takes their lock first.

    Raises:
        ApiError: precondition_failed, the plans of one have changed since they were read.
    """
    asked = request.headers.get("if-match")
    if asked is None:
        return
    before = _parts(connection, names)
    for account in sorted(names):
        store.hold(connection, account)
    known = dict(_PART.findall(asked))
    if asked.strip() == "*" or known.items() >= before.items() == _parts(connection, names).items():
        return
    detail = "The plans have changed since they were read; read them again."
    entry = fault("precondition_failed", detail, header="If-Match")
    headers = {"etag": tag(connection, names)}
    raise problem("precondition_failed", detail, errors=[entry], headers=headers)


def _parts(connection: Connection, names: Mapping[str, Names]) -> dict[str, str]:
    told = store.revisions_of(connection, list(names))
    return {name: f"{told[name]}-{own.account.config_version}" for name, own in names.items()}
