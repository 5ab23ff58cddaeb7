"""Frames as a host writes them, made with nothing but `cbor2`: what the code under test reads, it did not write."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from cbor2 import CBORTag, dumps, loads

__all__ = [
    "NOW_US",
    "account",
    "commit",
    "datetime_text",
    "did",
    "error",
    "frame",
    "identity",
    "link",
    "parts",
    "sync",
    "tid",
]

NOW_US: Final = 1_795_000_000_000_000
"""The time at which the tests live: November 2026."""

_DIGITS: Final = "234567abcdefghijklmnopqrstuvwxyz"


def did(number: int) -> str:
    """Make the DID of account `number`."""
    letters = "".join(_DIGITS[number >> 5 * shift & 31] for shift in reversed(range(24)))
    return f"did:plc:{letters}"


def tid(number: int) -> str:
    """Write a 63-bit number as a TID."""
    return "".join(_DIGITS[number >> 5 * shift & 31] for shift in reversed(range(13)))


def link(content: bytes) -> CBORTag:
    """Link to a DAG-CBOR block."""
    return CBORTag(42, b"\x00\x01\x71\x12\x20" + sha256(content).digest())


def datetime_text(time_us: int) -> str:
    """Write unix microseconds as hosts do."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def frame(kind: str, body: dict[str, Any], **header: Any) -> bytes:
    """Make a message frame; `header` has additional fields."""
    return dumps({"t": kind, "op": 1, **header}, canonical=True) + dumps(body, canonical=True)


def error(name: str, message: str) -> bytes:
    """Make an error frame."""
    return dumps({"op": -1}, canonical=True) + dumps({"error": name, "message": message}, canonical=True)


def commit(
    seq: int,
    repo: str,
    rev: str,
    *,
    paths: Sequence[str] = (),
    time_us: int = NOW_US,
    size_bytes: int = 0,
    **fields: Any,
) -> bytes:
    """Make a `#commit` that creates records at `paths`; its blocks have no meaning, only a size."""
    body = {
        "seq": seq,
        "repo": repo,
        "rev": rev,
        "since": None,
        "time": datetime_text(time_us),
        "ops": [{"action": "create", "path": path, "cid": link(path.encode())} for path in paths],
        "blobs": [],
        "blocks": bytes(size_bytes),
        "commit": link(f"{repo} {rev}".encode()),
        "rebase": False,
        "tooBig": False,
    }
    return frame("#commit", {**body, **fields})


def sync(seq: int, repo: str, rev: str, *, time_us: int = NOW_US, **fields: Any) -> bytes:
    """Make a `#sync`."""
    body = {"seq": seq, "did": repo, "rev": rev, "time": datetime_text(time_us), "blocks": b""}
    return frame("#sync", {**body, **fields})


def identity(seq: int, repo: str, *, time_us: int = NOW_US, **fields: Any) -> bytes:
    """Make an `#identity`."""
    return frame("#identity", {"seq": seq, "did": repo, "time": datetime_text(time_us), **fields})


def account(seq: int, repo: str, *, active: bool = True, time_us: int = NOW_US, **fields: Any) -> bytes:
    """Make an `#account`."""
    return frame("#account", {"seq": seq, "did": repo, "time": datetime_text(time_us), "active": active, **fields})


def parts(raw: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read header and body of a frame, however they are encoded."""
    header = loads(raw)
    return header, loads(raw[len(dumps(header, canonical=True)) :])
