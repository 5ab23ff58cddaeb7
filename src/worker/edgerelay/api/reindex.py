"""The endpoint that makes the index of the archive anew, some hours at a time.

    POST /admin/reindex?after=N    go through the hours behind this one, counted from 1970; from the oldest on without

The answer names the last hour that is done, with which to ask again, or 0 if there are no more.
"""

from __future__ import annotations

import re
from typing import Final

from edgerelay.api.admin import PREFIX, refuse_stranger
from edgerelay.api.message import Request, Response, error_response, json_response

__all__ = ["REINDEX_PATH", "answer_reindex", "read_reindex"]

REINDEX_PATH: Final = f"{PREFIX}reindex"

_HOUR: Final = re.compile("[0-9]{1,7}")


def read_reindex(request: Request, admin_token: str) -> int | Response:
    """The hour behind which a request to `REINDEX_PATH` wants to begin, or its refusal."""
    refusal = refuse_stranger(request, admin_token)
    if refusal is not None:
        return refusal
    if request.method != "POST":
        return error_response(request, 405, "MethodNotAllowed", "only POST is served here", {"allow": "POST"})
    after = request.parameters("after") or ["0"]
    if len(after) != 1 or not _HOUR.fullmatch(after[0]):
        return error_response(request, 400, "InvalidRequest", "after must be an hour, counted from 1970")
    return int(after[0])


def answer_reindex(hour: int) -> Response:
    """The answer to a part that is done."""
    return json_response({"hour": hour}, headers={"cache-control": "no-store"})
