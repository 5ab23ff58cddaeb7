"""What the fuzzer starts from: small right examples of everything that is read, all made here and always the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from typing import Any, Final
from zlib import crc32

from cbor2 import dumps

from edgerelay.archive.batch import BatchBuilder
from edgerelay.archive.container import CONTAINER_VERSION
from edgerelay.archive.index_entries import encode_index
from edgerelay.atproto import syntax
from edgerelay.atproto.cid import Cid, cid_for_cbor, cid_to_link, cid_to_text
from edgerelay.atproto.frames import encode_error, encode_info
from edgerelay_dev.network.event import commit_event, encode_event, sync_event
from edgerelay_dev.network.key import derive_key
from edgerelay_dev.network.repository import Create, Delete, Repository, Update, Write
from tests.oracle import frames
from tests.oracle import mst as twin
from tests.packing import container_of, firehose_blocks, open_container

__all__ = [
    "DID",
    "FOOTER_BYTES",
    "LEGACY_KEYS",
    "MULTIKEYS",
    "SEVEN",
    "SYNTAXES",
    "batch",
    "commit_car",
    "document",
    "events",
    "frames_of_all_kinds",
    "nodes",
    "odd_records",
    "operations",
    "records",
    "sealed_footer",
    "value",
]

DID: Final = frames.did(1)
_TRAILER_BYTES: Final = 14
FOOTER_BYTES: Final = len(encode_index(open_container(container_of(firehose_blocks())))) + _TRAILER_BYTES
"""Of the container of `firehose_blocks`."""

_KEYS: Final = {curve: derive_key(curve, "fuzz") for curve in ("k256", "p256")}
MULTIKEYS: Final = [key.multikey for key in _KEYS.values()]
LEGACY_KEYS: Final = [key.legacy_multibase for key in _KEYS.values()]

SYNTAXES: Final = (
    syntax.is_at_uri,
    syntax.is_datetime,
    syntax.is_did,
    syntax.is_handle,
    syntax.is_nsid,
    syntax.is_plc_did,
    syntax.is_record_key,
    syntax.is_repo_path,
    syntax.is_tid,
)


def _keys_of_depths(*depths: int) -> list[bytes]:
    found: list[bytes] = []
    for key in (f"k/{number:05}".encode() for number in range(100_000)):
        if len(found) < len(depths) and twin.depth(key) == depths[len(found)]:
            found.append(key)
    return found


SEVEN: Final = _keys_of_depths(0, 1, 0, 2, 0, 1, 0)
"""Keys on three levels: all trees over them are 128."""


def value(key: bytes) -> Cid:
    """The record at a key."""
    return cid_for_cbor(key)


def records(mask: int) -> dict[bytes, Cid]:
    """A subset of the seven keys."""
    return {key: value(key) for index, key in enumerate(SEVEN) if mask >> index & 1}


def operations(before: Mapping[bytes, Cid], after: Mapping[bytes, Cid]) -> list[twin.Op]:
    """What leads from one set of records to another."""
    keys = sorted({*before, *after})
    return [twin.Op(key.decode(), after.get(key), before.get(key)) for key in keys if before.get(key) != after.get(key)]


@cache
def _frames() -> tuple[bytes, ...]:
    """A first commit, then creates, an update, deletes, all in one, and a `#sync`."""
    repository, key = Repository(DID), _KEYS["k256"]
    paths = [f"app.bsky.feed.post/{frames.tid(number)}" for number in range(30)]
    repository.fill([(path, {"text": path}) for path in paths], frames.tid(1 << 40), key)
    writes: list[list[Write]] = [
        [Create("app.bsky.feed.like/a", {"n": 1})],
        [Update(paths[7], {"n": 2})],
        [Delete(paths[9])],
        [Create("a.b.c/self", {"n": 3}), Update(paths[11], {"n": 4}), Delete(paths[20]), Delete(paths[21])],
    ]
    first = Repository(DID).commit([Create("a.b.c/self", {"n": 0})], frames.tid(1 << 39), key)
    changes = [first]
    for number, each in enumerate(writes):
        changes.append(repository.commit(each, frames.tid((1 << 40) + number + 1), key))
    time = frames.datetime_text(frames.NOW_US)
    made = [commit_event(DID, change, time) for change in changes] + [sync_event(DID, changes[-1].commit, time)]
    return tuple([encode_event(event, seq) for seq, event in enumerate(made, 1)])


@cache
def events() -> tuple[dict[str, Any], ...]:
    """The bodies of true commits and of a `#sync`."""
    return tuple([frames.parts(frame)[1] for frame in _frames()])


def frames_of_all_kinds() -> list[bytes]:
    """A frame of each kind, and of each operation."""
    others = [frames.identity(7, DID, handle="a.example.com"), frames.account(8, DID, active=False, status="takendown")]
    long_head = dumps({"op": 1, "t": "#identity"}) + dumps({"seq": 1.5, "did": DID})
    return [*_frames(), *others, encode_info("OutdatedCursor", "m"), encode_error("FutureCursor", "m"), long_head]


def commit_car() -> bytes:
    """The blocks of one commit."""
    car: bytes = events()[1]["blocks"]
    return car


def nodes() -> list[bytes]:
    """Tree nodes."""
    return list(twin.build(records(127)).blocks.values())


def odd_records() -> list[bytes]:
    """Records with everything that JSON says in its own way."""
    link = cid_to_link(value(b""))
    text = cid_to_text(value(b""))
    blob = {"ref": link, "size": 7, "$type": "blob", "mimeType": "image/png"}
    values = [
        blob,
        {"cid": text, "mimeType": "image/png"},
        {"$link": text},
        {"$bytes": "YWI"},
        b"ab",
        "<\b\u2028>",
        [None],
    ]
    return [dumps({"v": each, "$type": "a.b.c"}) for each in (*values, values, {**blob, "size": 7.0}, {"": 0.5}, 1.0)]


@cache
def document(kind: str = "Multikey", multikey: str = MULTIKEYS[0]) -> bytes:
    """A DID document."""
    method = {"id": f"{DID}#atproto", "type": kind, "controller": DID, "publicKeyMultibase": multikey}
    service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": "https://pds.example.org"}
    fields = {"id": DID, "alsoKnownAs": ["at://a.example.org"], "verificationMethod": [method], "service": [service]}
    return json.dumps(fields).encode()


def sealed_footer(container: bytearray, footer_at: int) -> bytes:
    """A container whose footer was edited, with the length and the checksum that it must have."""
    entries = bytes(container[footer_at:-_TRAILER_BYTES])
    footer = entries + CONTAINER_VERSION.to_bytes(2, "big") + len(entries).to_bytes(4, "big")
    return bytes(container[:footer_at]) + footer + crc32(footer).to_bytes(4, "big") + b"SRE\x89"


def batch() -> bytes:
    """A batch of three events."""
    builder = BatchBuilder(10)
    for seq, kind, paths in ((11, "#commit", ["a.b.c/self", "a.b.c/2"]), (15, "#sync", []), (16, "#account", [])):
        builder.add(seq, kind, DID, paths, sha256(kind.encode()).digest())
    return builder.build([(1, 0, 9, ((11, 12),), 5, 0)], b"account").message()
