"""`com.atproto.sync.subscribeRepos`, up to the point where the socket opens.

What can be refused is refused before the upgrade, as an HTTP answer with the XRPC error body; what only the stream can
know (a cursor in the future) is an error frame on the open socket.

Spec: event streams, "Connection"; XRPC, "Error Responses".
"""

from __future__ import annotations

from typing import Final, NamedTuple

from edgerelay.api.message import Request, Response, error_response
from edgerelay.atproto.frames import MAX_SEQ

__all__ = ["PATH", "Subscription", "parse_subscription"]

PATH: Final = "/xrpc/com.atproto.sync.subscribeRepos"

MAX_PARAMETERS: Final = 16
"""Parameters of one URL: the endpoint knows one, and clients add a few of their own at most."""

MAX_CURSOR_DIGITS: Final = len(str(MAX_SEQ))


class Subscription(NamedTuple):
    """What a client asks for."""

    cursor: int | None


def parse_subscription(request: Request) -> Subscription | Response:
    """Read the request, or refuse it with 400, 405 or 426."""
    if request.method != "GET":
        return error_response(request, 405, "MethodNotAllowed", "subscriptions are GET requests", {"allow": "GET"})
    if request.headers.get("upgrade", "").lower() != "websocket":
        message = "this endpoint is a WebSocket stream"
        return error_response(request, 426, "UpgradeRequired", message, {"upgrade": "websocket"})
    if len(request.query) > MAX_PARAMETERS:
        return error_response(request, 400, "InvalidRequest", f"more than {MAX_PARAMETERS} parameters")
    return _parse_cursor(request)


def _parse_cursor(request: Request) -> Subscription | Response:
    values = request.parameters("cursor")
    if len(values) > 1:
        return error_response(request, 400, "InvalidRequest", "cursor is given more than once")
    if not values or not values[0]:
        return Subscription(None)
    text = values[0]
    if not (text.isascii() and text.isdigit()):
        return error_response(request, 400, "InvalidRequest", "cursor must be a non-negative integer")
    digits = text.lstrip("0")  # Python refuses to read a number of thousands of digits, zeros or not
    if len(digits) > MAX_CURSOR_DIGITS:
        return Subscription(MAX_SEQ)
    return Subscription(min(int(digits or "0"), MAX_SEQ))
