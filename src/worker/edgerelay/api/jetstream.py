"""Jetstream v1, up to the point where the socket opens, and the messages that clients send afterwards.

Checks, their order and their texts are those of v1, which many clients have seen for years. Unknown parameters and
messages are ignored; what changes after the upgrade replaces everything that was asked for before.

Spec: Jetstream v1 as it is served, the repository bluesky-social/jetstream-legacy ("Query parameters", "Subscriber
sourced messages").
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from edgerelay.api.message import Request, Response, error_response
from edgerelay.api.subscription import Subscription
from edgerelay.atproto.json_object import MAX_CONTAINERS
from edgerelay.atproto.syntax import is_did, is_nsid
from edgerelay.relay.channel import Channel, Wire
from edgerelay.relay.filters import MAX_COLLECTIONS, MAX_DIDS, Filter

__all__ = ["MAX_MESSAGE_BYTES", "PATHS", "Close", "Options", "parse_jetstream", "parse_message"]

PATHS: Final = ("/subscribe", "/jetstream")

MAX_MESSAGE_BYTES: Final = 10_000_000
"""Of a client's message; a larger one is ignored, as v1 does."""

MAX_REASON_BYTES: Final = 123
"""Of the reason in a close frame: the protocol's limit."""

_INTEGER: Final = re.compile(r"([+-]?)0*([0-9]{1,19})")
_INT64_END: Final = 2**63
_UINT32_END: Final = 2**32
_NORMAL: Final = 1000
_BAD_ENVELOPE: Final = "failed to unmarshal subscriber sourced message: "
_BAD_PAYLOAD: Final = "failed to unmarshal subscriber options update: "
_BAD_OPTIONS: Final = "failed to parse subscriber options: "


class Options(NamedTuple):
    """What a client may change while it is connected."""

    filter: Filter
    max_bytes: int


class Close(NamedTuple):
    """A client is to be disconnected."""

    code: int
    reason: str


class _OptionsError(ValueError):
    """Options that cannot be; `public` is what the answer before the upgrade says of them."""

    def __init__(self, problem: str, public: str) -> None:
        super().__init__(problem)
        self.public = public


def parse_jetstream(request: Request) -> Subscription | Response:
    """Read the request, or refuse it with 400 or 405."""
    if request.method != "GET":
        return error_response(request, 405, "MethodNotAllowed", "subscriptions are GET requests", {"allow": "GET"})
    raw = _first(request, "cursor")
    cursor = _integer(raw) if raw else None
    if raw and cursor is None:
        return _bad_request(f"invalid cursor: {raw}")
    try:
        wanted = _filter(request.parameters("wantedCollections"), request.parameters("wantedDids"))
    except _OptionsError as error:
        return _bad_request(f"invalid subscriber options{error.public}")
    if request.headers.get("upgrade", "").lower() != "websocket":
        return _bad_request("Bad Request", {"sec-websocket-version": "13"})
    is_packed = _first(request, "compress") == "true" or "zstd" in request.headers.get("socket-encoding", "")
    wire = Wire.ZSTD_LINES if is_packed else Wire.LINES
    channel = Channel(wire, wanted, _max_bytes(_integer(_first(request, "maxMessageSizeBytes")) or 0))
    return Subscription(cursor, channel, awaits_hello=_first(request, "requireHello") == "true")


def parse_message(text: str) -> Options | Close | None:
    """What a client's text asks for; None if that is nothing."""
    try:
        envelope = _json_object(text)
        kind = _field(envelope, "type", str) or ""
    except ValueError as error:
        return _close(_BAD_ENVELOPE, error)
    if kind != "options_update":
        return None
    try:
        if "payload" not in envelope:
            raise ValueError("unexpected end of JSON input")
        payload = _field(envelope, "payload", dict) or {}
        collections, dids = (_texts(payload, name) for name in ("wantedCollections", "wantedDids"))
        max_bytes = _max_bytes(_field(payload, "maxMessageSizeBytes", int) or 0)
    except ValueError as error:
        return _close(_BAD_PAYLOAD, error)
    try:
        return Options(_filter(collections, dids), max_bytes)
    except _OptionsError as error:
        return _close(_BAD_OPTIONS, error)


def _first(request: Request, name: str) -> str:
    return next(iter(request.parameters(name)), "")


def _integer(text: str) -> int | None:
    """A signed number of 64 bits; None if it is not one."""
    match = _INTEGER.fullmatch(text)
    value = int(match[1] + match[2]) if match is not None else None
    return value if value is not None and -_INT64_END <= value < _INT64_END else None


def _max_bytes(value: int) -> int:
    return value % _UINT32_END if 0 < value < _INT64_END else 0


def _filter(collections: Iterable[str], dids: Iterable[str]) -> Filter:
    names: set[str] = set()
    prefixes: list[str] = []
    for name in collections:
        if name.endswith(".*"):
            prefixes.append(name.removesuffix("*"))
        elif is_nsid(name):
            names.add(name)
        else:
            raise _OptionsError(f"invalid collection: {name}", f": invalid collection: {name}")
    wanted = frozenset(dids)
    for did in wanted:
        if not is_did(did):
            raise _OptionsError(f"invalid DID: {did}", "")
    if len(wanted) > MAX_DIDS:
        raise _OptionsError("too many wanted DIDs", ": too many wanted DIDs")
    if len(names) + len(prefixes) > MAX_COLLECTIONS:
        raise _OptionsError("too many wanted collections", ": too many wanted collections")
    return Filter(frozenset(), wanted, frozenset(names), tuple(sorted(prefixes)))


def _bad_request(body: str, headers: dict[str, str] | None = None) -> Response:
    content_type = {"content-type": "text/plain; charset=UTF-8"}
    return Response(400, body.encode(errors="replace"), {**content_type, **(headers or {})})


def _json_object(text: str) -> dict[str, Any]:
    """Raises `ValueError` if it is not one; null is an empty one."""
    # Nesting overflows the parser's stack, and an update needs three of these.
    if text.count("[") + text.count("{") > MAX_CONTAINERS:
        raise ValueError("too many brackets")
    value = json.loads(text, parse_constant=_no_constant)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("the message is no object")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _field(value: dict[str, Any], name: str, kind: type) -> Any:
    """The value of a field; None without one. Raises `ValueError` if it is of another type."""
    found = value.get(name)
    if found is not None and type(found) is not kind:
        raise ValueError(f"{name} is of another type")
    return found


def _texts(payload: dict[str, Any], name: str) -> list[str]:
    found: list[Any] = _field(payload, name, list) or []
    if not {str}.issuperset(map(type, found)):
        raise ValueError(f"{name} holds something else than texts")
    return found


def _close(what: str, error: ValueError) -> Close:
    reason = f"{what}{error}".encode(errors="replace")
    return Close(_NORMAL, reason[:MAX_REASON_BYTES].decode(errors="ignore"))
