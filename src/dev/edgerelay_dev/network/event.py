"""Stream events as values and as frames: header and body, two CBOR items back to back.

An event's body lacks only its `seq`, which the log of the host that emits it adds.

Spec: atproto event stream; the `com.atproto.sync.subscribeRepos` Lexicon.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from edgerelay.atproto.cid import cid_to_link
from edgerelay.atproto.dagcbor import Value, encode
from edgerelay_dev.network.car import write_car
from edgerelay_dev.network.repository import Change, Commit, Op

__all__ = [
    "Event",
    "account_event",
    "commit_event",
    "encode_event",
    "error_frame",
    "identity_event",
    "info_frame",
    "sync_event",
]


class Event(NamedTuple):
    """A message type (`#commit`) and the fields of its body."""

    kind: str
    body: dict[str, Value]


def encode_event(event: Event, seq: int) -> bytes:
    """Write the frame of an event under its sequence number."""
    return _header(event.kind) + encode({**event.body, "seq": seq})


def commit_event(did: str, change: Change, time: str) -> Event:
    """Announce a commit; as the reference PDS does, the first of a repository has no `prevData`."""
    body: dict[str, Value] = {
        "ops": [_op(op) for op in change.ops],
        "rev": change.commit.rev,
        "repo": did,
        "time": time,
        "blobs": [],
        "since": change.since,
        "blocks": change.car,
        "commit": cid_to_link(change.commit.block.cid),
        "rebase": False,
        "tooBig": False,
    }
    if change.prev_data is not None:
        body["prevData"] = cid_to_link(change.prev_data)
    return Event("#commit", body)


def sync_event(did: str, commit: Commit, time: str) -> Event:
    """Declare the present commit of a repository."""
    car = write_car(commit.block.cid, [commit.block])
    return Event("#sync", {"did": did, "rev": commit.rev, "time": time, "blocks": car})


def identity_event(did: str, handle: str | None, time: str) -> Event:
    """Say that the identity may have changed."""
    body: dict[str, Value] = {"did": did, "time": time}
    return Event("#identity", body if handle is None else {**body, "handle": handle})


def account_event(did: str, status: str | None, time: str) -> Event:
    """Tell an account's status; None is active."""
    body: dict[str, Value] = {"did": did, "time": time, "active": status is None}
    return Event("#account", body if status is None else {**body, "status": status})


def error_frame(name: str, message: str) -> bytes:
    """Write the frame after which a host closes."""
    return _ERROR_HEADER + encode({"error": name, "message": message})


def info_frame(name: str, message: str) -> bytes:
    """Write a frame that has no place in the sequence."""
    return _header("#info") + encode({"name": name, "message": message})


def _header(kind: str) -> bytes:
    return encode({"t": kind, "op": 1})


_ERROR_HEADER: Final = bytes.fromhex("a1626f7020")


def _op(op: Op) -> dict[str, Value]:
    fields: dict[str, Value] = {"cid": op.cid and cid_to_link(op.cid), "path": op.path, "action": op.action}
    return fields if op.prev is None else {**fields, "prev": cid_to_link(op.prev)}
