"""Who may subscribe, where the operator has given out tokens.

Off without tokens. A token is presented as `Authorization: Bearer`, or as `?token=` by clients that cannot set headers.
It is never written down, and compared by its hash, so that the time tells nothing of how much of it was right.

Spec: RFC 6750.
"""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from typing import Final

from edgerelay.api.message import Request, Response, error_response

__all__ = ["refuse_unknown_subscriber"]

MAX_TOKEN_CHARS: Final = 512
"""Longer ones are refused unseen: nobody was given one."""

_SCHEME: Final = "bearer "
_CHALLENGE: Final = {"www-authenticate": 'Bearer realm="subscriptions"'}


def refuse_unknown_subscriber(request: Request, tokens: str) -> Response | None:
    """The refusal of whoever presents none of the tokens, which are separated by commas; None if there are none."""
    known = [_digest(each.strip()) for each in tokens.split(",") if each.strip()]
    if not known:
        return None
    presented = _presented(request)
    if len(presented) == 1 and 0 < len(presented[0]) <= MAX_TOKEN_CHARS:
        given = _digest(presented[0])
        if sum(compare_digest(given, each) for each in known):  # all of them, whichever it is
            return None
    return error_response(request, 401, "AuthenticationRequired", "a subscriber's token is needed", _CHALLENGE)


def _presented(request: Request) -> list[str]:
    """Every token of the request; one that contradicts itself presents more than one."""
    header = request.headers.get("authorization", "")
    by_header = [header[len(_SCHEME) :].strip()] if header.lower().startswith(_SCHEME) else []
    return [*by_header, *request.parameters("token")]


def _digest(token: str) -> bytes:
    """The hash of any text, which may hold half a character if it comes from JavaScript."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
