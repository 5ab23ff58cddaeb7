"""The messages of Jetstream v2, made of the lines of v1: the same events, and those of `#sync`, in another form.

A message is an envelope whose payload says by its `$type` what it is; keys stand in order. `seq` is the number of the
line, and `time` the same as text, because that is what our numbers are. What is no commit has the event of the firehose
inside, under the name of its kind.

The blocks of a `#sync` are base64 as text: the only client that is known, atproto of PyPI, ends at a `$bytes`.

Spec: the lexicon network.bsky.jetstream.subscribeEvents; bluesky-social/proposals 0015.
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from json import JSONEncoder
from typing import Any, Final, NamedTuple

from edgerelay.archive.jetstream import LineKind, read_kept, render
from edgerelay.atproto.messages import Sync
from edgerelay.atproto.timestamp import datetime_text

__all__ = ["EventMessage", "encode_event_error", "encode_event_info", "render_events"]

_NSID: Final = "network.bsky.jetstream.subscribeEvents"

# Decoded JSON refers to nothing twice, so that no circle need be looked for.
_encode: Final = JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"), sort_keys=True).encode


class EventMessage(NamedTuple):
    """One event of v2."""

    number: int
    json: str


def render_events(raw: bytes) -> tuple[EventMessage, ...]:
    """The messages of a frame that bears our number.

    Raises:
        RenderError: this is no frame that is kept.
    """
    lines, skipped = render(raw)
    if not lines and not skipped:
        _, message = read_kept(raw)
        if isinstance(message, Sync):
            return (_message("sync", message.seq, {"did": message.did, "sync": _upstream_sync(message)}),)
    return tuple([_message(line.kind, line.time_us, _payload(line.kind, line.json)) for line in lines])


def encode_event_info(name: str, message: str) -> str:
    """Something that is told and is no event."""
    return _enveloped("info", {"message": message, "name": name})


def encode_event_error(error: str, message: str) -> str:
    """Why the stream ends."""
    return _encode({"$type": "error", "error": error, "message": message})


def _payload(kind: str, line: bytes) -> dict[str, Any]:
    event = json.loads(line)
    inside = event[kind] if kind == LineKind.COMMIT else {kind: event[kind]}
    return {**inside, "did": event["did"]}


def _upstream_sync(sync: Sync) -> dict[str, Any]:
    blocks = b2a_base64(sync.blocks, newline=False).rstrip(b"=").decode("ascii")
    return {"blocks": blocks, "did": sync.did, "rev": sync.rev, "seq": sync.seq, "time": sync.time}


def _message(kind: str, number: int, payload: dict[str, Any]) -> EventMessage:
    return EventMessage(number, _enveloped(kind, {**payload, "seq": number, "time": datetime_text(number)}))


def _enveloped(kind: str, payload: dict[str, Any]) -> str:
    return _encode({"$type": "message", "payload": {**payload, "$type": f"{_NSID}#{kind}"}})
