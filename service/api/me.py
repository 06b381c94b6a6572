"""`GET /v1/me`: who the key is; tools test their connection with it."""

from typing import Any

from service import __version__
from service.api.deps import CallDep
from service.api.router import Router
from service.api.schemas import Me
from service.domain.instant import iso

router = Router(prefix="/v1", tags=["Key"])


@router.get("/me", response_model=Me)
async def me(call: CallDep) -> Any:
    """The key itself, the server's time and version. Any key may ask."""
    caller = call.caller
    return {
        "key": {
            "id": caller.key_id,
            "name": caller.name,
            "prefix": caller.prefix,
            "scopes": list(caller.scopes),
            "accounts": list(caller.accounts),
            "expires_at": iso(caller.expires_at),
        },
        "now": iso(call.now),
        "version": __version__,
    }
