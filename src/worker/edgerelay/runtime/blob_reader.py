"""Reads blobs from hosts: whole, checked, and never too many at once.

A host may answer anything. What is passed on is of a type that no browser runs, not too large, and hashes to its CID;
so it is held in memory until all of it is there.
"""

from __future__ import annotations

from hashlib import sha256
from http import HTTPStatus
from typing import Final, NamedTuple

from edgerelay.api.blobs import BlobName, BlobProblem
from edgerelay.atproto.cid import RAW_PREFIX, cid_from_text
from edgerelay.atproto.hosting import blob_url
from edgerelay.runtime.fetcher import Fetched, Fetcher, FetchError

__all__ = ["ALLOWED_TYPES", "BLOB_PATIENCE_S", "MAX_READING_BYTES", "Blob", "BlobReader"]

BLOB_PATIENCE_S: Final = 10
"""Seconds for a blob, all of it: the largest one at 2 Mbit/s."""

LOST_AFTER_US: Final = 2 * BLOB_PATIENCE_S * 1_000_000
"""Microseconds after which a read that has not ended never will."""

MAX_READING_BYTES: Final = 8_000_000
"""Bytes of all blobs that are read at once: while it is handed over, a blob is there up to four times, and an isolate
that may hold RelayState as well has 128 MB."""

ALLOWED_TYPES: Final = frozenset(
    {
        "image/avif",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "video/mp4",
        "video/webm",
    }
)
"""What records of the network show and a browser only shows; no SVG, in which there may be scripts."""

_ANY_TYPE: Final = "*/*"


class Blob(NamedTuple):
    """A blob as its host sent it."""

    mime_type: str
    data: bytes


class BlobReader:
    """One for an isolate: all its readers share the bound."""

    def __init__(self, fetcher: Fetcher, max_bytes: int) -> None:
        """`max_bytes` is the size of the largest blob that is passed on."""
        self._fetcher = fetcher
        self._max_bytes = max_bytes
        self._most = MAX_READING_BYTES // max_bytes
        self._started = 0
        self._reading: dict[int, int] = {}
        """By its number: until when a read counts at the latest, in unix microseconds."""

    async def read(self, host: str, name: BlobName, now_us: int) -> Blob | BlobProblem:
        """Ask a host, which may be asked, for a blob; returns it, or why it is not passed on."""
        # The platform ends whoever nobody waits for any more, without a word: its read must not count for ever.
        self._reading = {number: until_us for number, until_us in self._reading.items() if until_us > now_us}
        if len(self._reading) >= self._most:
            return BlobProblem.TOO_BUSY
        self._started = number = self._started + 1
        self._reading[number] = now_us + LOST_AFTER_US
        try:
            url = blob_url(host, name.did, name.cid)
            # One byte more than is allowed shows that there is more.
            fetched = await self._fetcher.fetch(url, BLOB_PATIENCE_S, self._max_bytes + 1, _ANY_TYPE)
        except FetchError:
            return BlobProblem.HOST_UNAVAILABLE
        finally:
            self._reading.pop(number, None)
        return self._check(name, fetched)

    def _check(self, name: BlobName, fetched: Fetched) -> Blob | BlobProblem:
        mime_type = fetched.content_type.partition(";")[0].strip().lower()
        if fetched.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):
            return BlobProblem.BLOB_NOT_FOUND
        if fetched.status != HTTPStatus.OK:
            return BlobProblem.HOST_UNAVAILABLE
        if mime_type not in ALLOWED_TYPES:
            return BlobProblem.TYPE_NOT_ALLOWED
        if len(fetched.body) > self._max_bytes:
            return BlobProblem.TOO_LARGE
        if sha256(fetched.body).digest() != cid_from_text(name.cid)[len(RAW_PREFIX) :]:
            return BlobProblem.INVALID_BLOB
        return Blob(mime_type, fetched.body)
