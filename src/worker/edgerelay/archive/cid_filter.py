"""CID filters: which blobs may occur in a block or in a whole object, by the first 4 bytes of each CID's digest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from edgerelay.archive.hash_filter import HASH_BYTES, HashFilter
from edgerelay.atproto.cid import RAW_PREFIX, Cid

__all__ = ["CidFilter", "hash_cid"]

_DIGEST_HEAD = slice(len(RAW_PREFIX), len(RAW_PREFIX) + HASH_BYTES)


def hash_cid(cid: Cid) -> bytes:
    """What a filter knows of a CID, whose digest is a hash already."""
    return cid[_DIGEST_HEAD]


class CidFilter(HashFilter):
    """A set of blobs."""

    __slots__ = ()

    @classmethod
    def of(cls, cids: Iterable[Cid]) -> Self:
        """The filter of some CIDs."""
        return cls.of_hashes(map(hash_cid, cids))
