"""`com.atproto.sync.subscribeRepos`, up to the point where the socket opens.

What can be refused is refused before the upgrade, as an HTTP answer with the XRPC error body; what only the stream can
know (a cursor in the future) is an error frame on the open socket.

Beyond the specification there are `since`, a time instead of a cursor, and `window=all`, for all that is kept.

Spec: event streams, "Connection"; XRPC, "Error Responses".
"""

from __future__ import annotations

from typing import Final, NamedTuple

from edgerelay.api.message import Request, Response, error_response
from edgerelay.atproto.frames import MAX_SEQ
from edgerelay.atproto.timestamp import time_us
from edgerelay.relay.sequencer import MIN_TIME_SEQ

__all__ = ["PATH", "Subscription", "parse_subscription"]

PATH: Final = "/xrpc/com.atproto.sync.subscribeRepos"

MAX_PARAMETERS: Final = 16
"""Parameters of one URL: the endpoint knows three, and clients add a few of their own at most."""

MAX_CURSOR_DIGITS: Final = len(str(MAX_SEQ))


class Subscription(NamedTuple):
    """What a client asks for."""

    cursor: int | None
    is_whole: bool = False
    """A cursor that is no time stands for everything that is kept, not for the usual hours."""


def parse_subscription(request: Request) -> Subscription | Response:
    """Read the request, or refuse it with 400, 405 or 426."""
    if request.method != "GET":
        return error_response(request, 405, "MethodNotAllowed", "subscriptions are GET requests", {"allow": "GET"})
    if request.headers.get("upgrade", "").lower() != "websocket":
        message = "this endpoint is a WebSocket stream"
        return error_response(request, 426, "UpgradeRequired", message, {"upgrade": "websocket"})
    if len(request.query) > MAX_PARAMETERS:
        return error_response(request, 400, "InvalidRequest", f"more than {MAX_PARAMETERS} parameters")
    try:
        return _parse_start(_single(request, "cursor"), _single(request, "since"), _single(request, "window"))
    except ValueError as error:
        return error_response(request, 400, "InvalidRequest", str(error))


def _single(request: Request, name: str) -> str:
    """The value of a parameter; empty without one."""
    values = request.parameters(name)
    if len(values) > 1:
        raise ValueError(f"{name} is given more than once")
    return values[0] if values else ""


def _parse_start(cursor: str, since: str, window: str) -> Subscription:
    if cursor and since:
        raise ValueError("cursor and since are given both")
    if window not in ("", "all"):
        raise ValueError("window can only be all")
    if since:
        return Subscription(_parse_since(since))
    if cursor:
        return Subscription(_parse_cursor(cursor), is_whole=bool(window))
    return Subscription(0, is_whole=True) if window else Subscription(None)


def _parse_cursor(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("cursor must be a non-negative integer")
    digits = text.lstrip("0")  # Python refuses to read a number of thousands of digits, zeros or not
    if len(digits) > MAX_CURSOR_DIGITS:
        return MAX_SEQ
    return min(int(digits or "0"), MAX_SEQ)


def _parse_since(text: str) -> int:
    """A time, as a number of ours; one before all of them is the oldest."""
    seq = time_us(text)
    if not seq:
        raise ValueError("since must be a time with a zone, such as 2026-11-01T12:00:00Z")
    return min(max(seq, MIN_TIME_SEQ), MAX_SEQ)
