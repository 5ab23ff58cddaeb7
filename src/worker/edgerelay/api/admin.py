"""Who may use `/admin/*`: whoever has the operator's token.

Spec: RFC 6750 (Bearer tokens in the `Authorization` header).
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Final

from edgerelay.api.message import Request, Response, error_response

__all__ = ["PREFIX", "refuse_stranger"]

PREFIX: Final = "/admin/"
_SCHEME: Final = "bearer "


def refuse_stranger(request: Request, token: str) -> Response | None:
    """The refusal of a request to `/admin/*`; None if it carries the operator's token.

    The comparison takes the same time wherever the two differ. Without a token of the operator's nobody is let in.
    """
    if not token:
        return error_response(request, 403, "AdminDisabled", "ADMIN_TOKEN is not set")
    given = request.headers.get("authorization", "")
    presented = given[len(_SCHEME) :] if given.lower().startswith(_SCHEME) else ""
    if compare_digest(_bytes(presented), _bytes(token)):
        return None
    challenge = {"www-authenticate": 'Bearer realm="admin"'}
    return error_response(request, 401, "AuthenticationRequired", "the operator's token is needed", challenge)


def _bytes(text: str) -> bytes:
    """Any text, which may hold half a character if it comes from JavaScript."""
    return text.encode(errors="surrogatepass")
