"""The route table: which endpoint answers a request, and what every answer has in common.

Spec: XRPC for `/xrpc/*`; the Fetch standard for cross-origin requests, which are allowed from everywhere: no browser
sends the operator's token by itself, and nothing else depends on who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edgerelay.api.health import answer_health
from edgerelay.api.info import answer_info, answer_state
from edgerelay.api.message import Request, Response, error_response
from edgerelay.api.snapshot import Snapshot

__all__ = ["ROUTES", "find_route", "finish", "preflight"]

ROUTES: Final[Mapping[str, Callable[[Snapshot], Response]]] = {
    "/": answer_info,
    "/health": answer_health,
    "/xrpc/_health": answer_health,
    "/state": answer_state,
}
"""Endpoints that answer from the snapshot alone."""

_READING: Final = ("GET", "HEAD")
_COMMON: Final = {"access-control-allow-origin": "*", "x-content-type-options": "nosniff"}


def find_route(request: Request) -> Callable[[Snapshot], Response] | Response:
    """The endpoint of a path, or the refusal."""
    route = ROUTES.get(request.path)
    if route is None:
        error = "MethodNotImplemented" if request.path.startswith("/xrpc/") else "NotFound"
        return error_response(request, 501 if error == "MethodNotImplemented" else 404, error, "no such endpoint")
    if request.method not in _READING:
        return error_response(request, 405, "MethodNotAllowed", "only GET is served here", {"allow": "GET, HEAD"})
    return route


def preflight(request: Request) -> Response | None:
    """The answer to a browser that asks before it requests; None if this is no such question."""
    if request.method != "OPTIONS":
        return None
    allowed = request.headers.get("access-control-request-headers", "")
    return Response(
        204,
        headers={
            "access-control-allow-methods": "GET, HEAD, POST, OPTIONS",
            "access-control-allow-headers": allowed or "*",
            "access-control-max-age": "86400",
        },
    )


def finish(request: Request, response: Response) -> Response:
    """What every answer carries."""
    headers = {**_COMMON, "x-request-id": request.id, **response.headers}
    body = b"" if request.method == "HEAD" else response.body
    return Response(response.status, body, headers)
