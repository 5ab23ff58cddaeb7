"""Jetstream v2, `network.bsky.jetstream.subscribeEvents`, up to the point where the socket opens.

Its errors are those of XRPC. What only v1 knows is refused by name, so that nobody waits for what was never asked for.
There is no dictionary to pack messages with: none of v2 is published as a package.

Spec: the lexicon network.bsky.jetstream.subscribeEvents; bluesky-social/proposals 0015.
"""

from __future__ import annotations

from typing import Final

from edgerelay.api.firehose import parse_filter
from edgerelay.api.message import Request, Response, error_response
from edgerelay.api.subscription import Subscription, refuse_without_upgrade
from edgerelay.atproto.frames import MAX_SEQ
from edgerelay.relay.channel import Channel, Wire
from edgerelay.relay.sequencer import MIN_TIME_SEQ

__all__ = ["DICTIONARY_PATH", "PATH", "PROTOCOL", "answer_dictionary", "parse_subscribe_events"]

PATH: Final = "/xrpc/network.bsky.jetstream.subscribeEvents"
DICTIONARY_PATH: Final = "/xrpc/network.bsky.jetstream.getZstdDictionary"

PROTOCOL: Final = "xrpc.v1.json"
"""The subprotocol of WebSocket that is spoken, whether it is offered or not."""

MAX_DIGITS: Final = 19
"""Of a number: one of 64 bits."""

_OF_V1: Final = ("wantedCollections", "wantedDids", "compress", "requireHello")


def parse_subscribe_events(request: Request) -> Subscription | Response:
    """Read the request, or refuse it with 400, 405 or 426."""
    refusal = refuse_without_upgrade(request)
    if refusal is not None:
        return refusal
    if request.parameters("zstdDictionary"):
        return error_response(request, 400, "UnknownZstdDictionary", "there is no dictionary")
    try:
        _check_names(request)
        cursor = _number(request, "cursor")
        channel = Channel(Wire.EVENTS, parse_filter(request), _number(request, "maxMessageSizeBytes") or 0)
    except ValueError as error:
        return error_response(request, 400, "InvalidRequest", str(error))
    if cursor is not None and cursor < MIN_TIME_SEQ:
        message = "cursors are unix microseconds; this one is older than all of them, or another server's"
        return error_response(request, 400, "CursorTooOld", message)
    offered = request.headers.get("sec-websocket-protocol", "").replace(" ", "").split(",")
    return Subscription(cursor, channel, protocol=PROTOCOL if PROTOCOL in offered else "")


def answer_dictionary(request: Request) -> Response:
    """`network.bsky.jetstream.getZstdDictionary`: there is none."""
    return error_response(request, 404, "DictionaryNotFound", "there is no dictionary")


def _check_names(request: Request) -> None:
    for name in _OF_V1:
        if request.parameters(name):
            raise ValueError(f"{name} is of Jetstream v1, at /subscribe")
    if "socket-encoding" in request.headers:
        raise ValueError("Socket-Encoding is of Jetstream v1, at /subscribe")


def _number(request: Request, name: str) -> int | None:
    values = request.parameters(name)
    if not values:
        return None
    text = values[0]
    if len(values) > 1 or not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise ValueError(f"{name} must be one non-negative integer")
    return min(int(text), MAX_SEQ)
