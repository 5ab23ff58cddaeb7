"""DID filters: which accounts may occur in a block or in a whole object, by the first 4 bytes of each DID's SHA-256."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Self

from edgerelay.archive.hash_filter import HASH_BYTES, HashFilter

__all__ = ["DidFilter", "hash_did"]


def hash_did(did: str) -> bytes:
    """What a filter knows of a DID."""
    return sha256(did.encode()).digest()[:HASH_BYTES]


class DidFilter(HashFilter):
    """A set of accounts."""

    __slots__ = ()

    @classmethod
    def of(cls, dids: Iterable[str]) -> Self:
        """The filter of some DIDs."""
        return cls.of_hashes(map(hash_did, set(dids)))
