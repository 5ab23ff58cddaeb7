"""The platform's rate limits, one for each kind of request; their numbers stand in wrangler.toml."""

from __future__ import annotations

from typing import Any, Final

from pyodide.ffi import JsException

from edgerelay.api.address import client_address
from edgerelay.api.message import Request, Response, error_response
from edgerelay.cloudflare.log import JsonLog

__all__ = ["refuse_hasty"]

RETRY_AFTER_S: Final = "60"
"""No limit of wrangler.toml counts over more."""


async def refuse_hasty(limit: Any, asked: Request) -> Response | None:
    """The refusal of a client that asks too often; None if it may go on. A limit out of order limits nobody."""
    try:
        is_allowed = bool((await limit.limit({"key": client_address(asked)})).success)
    except (JsException, OSError) as error:
        JsonLog("worker", "error").write("error", "rate_limit", {"problem": str(error)[:200], "request": asked.id})
        return None
    if is_allowed:
        return None
    return error_response(asked, 429, "RateLimitExceeded", "too many requests", {"retry-after": RETRY_AFTER_S})
