"""References to blobs: which records hold which blobs, without the blobs.

They are found in the lines of Jetstream, where a blob has one form that no text can imitate: within a JSON string each
quotation mark stands behind a backslash. So no record is decoded twice, references can be made anew from what is kept,
and a record without a line has none.

    {"$type":"blob","ref":{"$link":CID},"mimeType":…,"size":…}    at any depth of a record
    {"cid":CID,"mimeType":…}                                     as blobs were written before they had a type

A reference is kept as a row: one line of JSON. How rows are packed is `blob_block`'s; which host an account has is for
others to say.

Spec: atproto data model, "Blob Type"; for the lines see `jetstream`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from edgerelay.errors import InvariantError

__all__ = ["MAX_MIME_TYPE_CHARS", "BlobReference", "BlobRowError", "find_blobs", "read_rows", "write_row"]

MAX_MIME_TYPE_CHARS: Final = 255
"""Of a MIME type: a type and a subtype of at most 127 (RFC 6838). Of a longer one the beginning is kept."""

_TEXT: Final = rb'"(?:[^"\\]|\\.)*+"'
_BLOB: Final = re.compile(
    rb'\{"(?:\$type":"blob","ref":\{"\$link":"[a-z2-7]{59}"\},"mimeType":%b,"size":[0-9]+'
    rb'|cid":"[a-z2-7]{59}","mimeType":%b)\}' % (_TEXT, _TEXT)
)
_COMMIT_LINE: Final = re.compile(
    rb'\{"did":"([^"]+)","time_us":([0-9]+),"kind":"commit","commit":\{"rev":"[^"]*","operation":"[a-z]+",'
    rb'"collection":"([^"]+)","rkey":"([^"]+)"'
)


class BlobRowError(InvariantError):
    """Bytes that were kept as rows of references are none."""


class BlobReference(NamedTuple):
    """A record names a blob."""

    seq: int
    """Number of the operation that created or updated the record: the `time_us` of its line."""

    did: str
    path: str
    """The record: `collection/key`."""

    cid: str
    mime_type: str
    """As the record says; nobody has looked."""

    size_bytes: int | None
    """As the record says; None where it does not."""

    host: str = ""
    """The account's host when this was kept, as `https://host[:port]`; empty if not known."""


def find_blobs(lines: bytes) -> list[BlobReference]:
    """The references in some lines, each once, in their order."""
    return list(dict.fromkeys(_references(lines)))


def _references(lines: bytes) -> Iterator[BlobReference]:
    for found in _BLOB.finditer(lines):
        line = _COMMIT_LINE.match(lines, lines.rfind(b"\n", 0, found.start()) + 1)
        if line is not None:
            did, time_us, collection, record_key = line.groups()
            blob = json.loads(found[0])
            yield BlobReference(
                int(time_us),
                did.decode(),
                f"{collection.decode()}/{record_key.decode()}",
                blob["ref"]["$link"] if "ref" in blob else blob["cid"],
                blob["mimeType"][:MAX_MIME_TYPE_CHARS],
                blob.get("size"),
            )


_FIELDS: Final = ("seq", "did", "path", "cid", "mimeType", "size", "host")
"""Of a row, in their order."""


def write_row(reference: BlobReference) -> bytes:
    """One line, with a line feed at its end."""
    row = dict(zip(_FIELDS, reference, strict=True))
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def read_rows(raw: bytes, did: str = "", cid: str = "") -> list[BlobReference]:
    """The references of some rows, of this account and blob only if they are named.

    Raises:
        BlobRowError: what was kept is damaged.
    """
    wanted = [b'"%b":"%b"' % (name, text.encode()) for name, text in ((b"did", did), (b"cid", cid)) if text]
    try:
        return [_read_row(row) for row in raw.splitlines() if all(each in row for each in wanted)]
    except (ValueError, KeyError, TypeError) as error:
        raise BlobRowError(f"a row that is none: {type(error).__name__}") from error


def _read_row(row: bytes) -> BlobReference:
    fields = json.loads(row)
    return BlobReference(*[fields[name] for name in _FIELDS])
