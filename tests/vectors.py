"""Reads the vectors and recordings that are kept outside the project; the fixture `shared_data` says where they are.

Everything is read as it was published; what of it concerns us is said where it is tested.
"""

from __future__ import annotations

import base64
import json
import struct
import sys
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edgerelay.atproto import messages as messages_of
from edgerelay.atproto.cid import Cid, cid_from_link
from edgerelay.atproto.dagcbor import Value, decode_pair
from edgerelay.atproto.frames import Frame, decode_frame
from tests.oracle.mst import Op

__all__ = [
    "CAPTURES",
    "Commit",
    "base64_bytes",
    "capture",
    "commits",
    "did_documents",
    "exhaustive_diffs",
    "expected_lines",
    "lines",
    "load_json",
    "messages",
    "recording",
]

CAPTURES = ("pds1", "deep", "arroba")
"""Streams recorded from real servers."""

Json = Any


class Commit(NamedTuple):
    """What a `#commit` says, read without the message layer."""

    did: str
    rev: str
    since: str | None
    commit: Cid
    blocks: bytes
    operations: tuple[Op, ...]
    prev_data: Cid | None


def load_json(path: Path) -> Json:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def base64_bytes(text: str) -> bytes:
    """Decode base64 with or without padding."""
    return base64.b64decode(text + "=" * (-len(text) % 4))


def lines(path: Path) -> list[str]:
    """Read a file of one value a line; spaces belong to the value, `#` starts a comment."""
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line and not line.startswith("#")]


@cache
def capture(shared_data: Path, name: str) -> tuple[bytes, ...]:
    """Read all frames of one recorded stream."""
    return tuple(_framed((shared_data / "capture" / f"{name}.bin").read_bytes(), ">I"))


@cache
def recording(shared_data: Path) -> tuple[bytes, ...]:
    """Read 150 frames of the whole network."""
    return tuple(_framed(_unzstd(_corpus(shared_data) / "frames.bin.zst"), "<I"))


@cache
def expected_lines(shared_data: Path) -> tuple[str, ...]:
    """Read what Jetstream v1 served for `recording`."""
    return tuple((_corpus(shared_data) / "expected_v1.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n"))


@cache
def did_documents(shared_data: Path) -> dict[str, Json]:
    """Read the DID documents of the accounts in `recording`."""
    documents: dict[str, Json] = json.loads(_unzstd(_corpus(shared_data) / "did_docs.json.zst"))
    return documents


def _corpus(shared_data: Path) -> Path:
    return shared_data / "vectors/jetstream/internal/corpus/testdata"


def commits(frames: tuple[bytes, ...]) -> Iterator[Commit]:
    """Take the commits out of a stream."""
    for frame in frames:
        header, body = decode_pair(frame)
        if isinstance(header, dict) and header.get("t") == "#commit":
            assert isinstance(body, dict)
            yield _commit(body)


def messages(frames: tuple[bytes, ...]) -> Iterator[messages_of.Commit | messages_of.Sync]:
    """Take the commits and syncs out of a stream, read as the relay reads them."""
    for raw in frames:
        frame = decode_frame(raw)
        if isinstance(frame, Frame) and frame.kind in ("#commit", "#sync"):
            message = messages_of.parse_message(frame.kind, frame.body)
            assert isinstance(message, messages_of.Commit | messages_of.Sync)
            yield message


def _commit(body: Json) -> Commit:
    operations = tuple(Op(op["path"], _cid(op["cid"]), _cid(op.get("prev"))) for op in body["ops"])
    prev_data = _cid(body.get("prevData"))
    commit = cid_from_link(body["commit"])
    return Commit(body["repo"], body["rev"], body["since"], commit, body["blocks"], operations, prev_data)


def _cid(link: Value) -> Cid | None:
    return None if link is None else cid_from_link(link)


def exhaustive_diffs(shared_data: Path, every: int) -> Iterator[Json]:
    """Read each `every`-th of the 16,384 differences between trees over seven keys."""
    with tarfile.open(shared_data / "vectors/mst-test-suite/tests-diff-exhaustive.tar.xz") as archive:
        for index, member in enumerate(member for member in archive if member.isfile()):
            file = archive.extractfile(member) if index % every == 0 else None
            if file is not None:
                yield json.load(file)


def _framed(data: bytes, length_format: str) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from(length_format, data, at)
        at += 4 + length
        yield data[at - length : at]


def _unzstd(path: Path) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd

        return zstd.decompress(path.read_bytes())
    zstandard = pytest.importorskip("zstandard")
    with path.open("rb") as file:
        data: bytes = zstandard.ZstdDecompressor().stream_reader(file).read()
    return data
