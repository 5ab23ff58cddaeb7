"""Jetstream v2, `network.bsky.jetstream.subscribeEvents`, up to the point where the socket opens; and the dictionary
that its messages may be packed with.

Its errors are those of XRPC. What only v1 knows is refused by name, so that nobody waits for what was never asked for.
A dictionary belongs to a server, which gives it to whoever asks; ours is that of v1.

Spec: the lexicons network.bsky.jetstream.subscribeEvents and getZstdDictionary; bluesky-social/proposals 0015.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edgerelay.api.firehose import parse_filter
from edgerelay.api.message import Request, Response, error_response
from edgerelay.api.subscription import Subscription, refuse_without_upgrade
from edgerelay.atproto.frames import MAX_SEQ
from edgerelay.relay.channel import Channel, Wire
from edgerelay.relay.sequencer import MIN_TIME_SEQ

__all__ = ["DICTIONARY_ID", "DICTIONARY_PATH", "PATH", "PROTOCOL", "answer_dictionary", "parse_subscribe_events"]

PATH: Final = "/xrpc/network.bsky.jetstream.subscribeEvents"
DICTIONARY_PATH: Final = "/xrpc/network.bsky.jetstream.getZstdDictionary"

PROTOCOL: Final = "xrpc.v1.json"
"""The subprotocol of WebSocket that is spoken, whether it is offered or not."""

DICTIONARY_ID: Final = 1_612_007_021
"""As it stands in the dictionary, and in each frame that is packed with it."""

MAX_DIGITS: Final = 19
"""Of a number: one of 64 bits."""

_NUMBERS: Final = range(10**MAX_DIGITS)
_UINT32: Final = range(2**32)
_IDS: Final = _UINT32[1:]
"""Of dictionaries: 0 stands for none."""

_ETAG: Final = f'"zstd-dict-{DICTIONARY_ID}"'
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_FOR_AN_HOUR: Final = "public, max-age=3600"
"""For whoever asks for the current dictionary, which may be another one tomorrow."""

_OF_V1: Final = ("wantedCollections", "wantedDids", "compress", "requireHello")


def parse_subscribe_events(request: Request) -> Subscription | Response:
    """Read the request, or refuse it with 400, 405 or 426."""
    refusal = refuse_without_upgrade(request)
    if refusal is not None:
        return refusal
    try:
        _check_names(request)
        dictionary = _number(request, "zstdDictionary", _IDS)
        cursor = _number(request, "cursor")
        wire = Wire.EVENTS if dictionary is None else Wire.ZSTD_EVENTS
        channel = Channel(wire, parse_filter(request), _number(request, "maxMessageSizeBytes", _UINT32) or 0)
    except ValueError as error:
        return error_response(request, 400, "InvalidRequest", str(error))
    if dictionary not in (None, DICTIONARY_ID):
        return error_response(request, 400, "UnknownZstdDictionary", _unknown(dictionary))
    if cursor is not None and cursor < MIN_TIME_SEQ:
        message = "cursors are unix microseconds; this one is older than all of them, or another server's"
        return error_response(request, 400, "CursorTooOld", message)
    offered = request.headers.get("sec-websocket-protocol", "").replace(" ", "").split(",")
    start = None if cursor is None else min(cursor, MAX_SEQ)
    return Subscription(start, channel, protocol=PROTOCOL if PROTOCOL in offered else "")


def answer_dictionary(request: Request, read: Callable[[], bytes]) -> Response:
    """`network.bsky.jetstream.getZstdDictionary`: what `read` gives, the one of the `id` or the current one."""
    if request.method not in ("GET", "HEAD"):
        return error_response(request, 405, "MethodNotAllowed", "only GET is served here", {"allow": "GET, HEAD"})
    try:
        asked = _number(request, "id", _IDS)
    except ValueError as error:
        return error_response(request, 400, "InvalidRequest", str(error))
    if asked not in (None, DICTIONARY_ID):
        return error_response(request, 404, "DictionaryNotFound", _unknown(asked))
    lasting = _FOR_AN_HOUR if asked is None else _FOR_EVER
    headers = {"etag": _ETAG, "cache-control": lasting, "x-zstd-dictionary-id": str(DICTIONARY_ID)}
    if _ETAG in request.headers.get("if-none-match", ""):
        return Response(304, headers=headers)
    return Response(200, read(), {"content-type": "application/octet-stream", **headers})


def _unknown(dictionary: int | None) -> str:
    return f"there is no dictionary {dictionary}; the current one is {DICTIONARY_ID}"


def _check_names(request: Request) -> None:
    for name in _OF_V1:
        if request.parameters(name):
            raise ValueError(f"{name} is of Jetstream v1, at /subscribe")
    if "socket-encoding" in request.headers:
        raise ValueError("Socket-Encoding is of Jetstream v1, at /subscribe")


def _number(request: Request, name: str, allowed: range = _NUMBERS) -> int | None:
    values = request.parameters(name)
    if not values:
        return None
    text = values[0]
    is_number = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
    if len(values) > 1 or not is_number or int(text) not in allowed:
        raise ValueError(f"{name} must be one integer from {allowed[0]} to {allowed[-1]}")
    return int(text)
