"""DID filters: which accounts may occur in a block, or in a whole object.

A filter is the sorted set of the DIDs' hashes, each the first 4 bytes of SHA-256: 32 bits a DID. It says "certainly
not" for all but n of 4,294,967,296 DIDs that do not occur, where n do: a block with 80 accounts is read in vain once
in 50 million times, an object with 40,000 once in 100,000.

Why not a Bloom filter of 10 bits a DID: filters of different sizes cannot be united, and compaction, which sees sealed
blocks alone, has to unite them. And 1 % of the blocks of 62 days, read in vain for one account, is far more than what
the larger filters take, about a thousandth of the blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from hashlib import sha256
from operator import lt
from struct import unpack
from typing import Final, NamedTuple

__all__ = ["HASH_BYTES", "DidFilter", "hash_did"]

HASH_BYTES: Final = 4
"""Of each DID's SHA-256, from its beginning."""


def hash_did(did: str) -> bytes:
    """What a filter knows of a DID."""
    return sha256(did.encode()).digest()[:HASH_BYTES]


class DidFilter(NamedTuple):
    """A set of hashes."""

    hashes: bytes
    """One behind the other, in order, none twice."""

    @classmethod
    def of(cls, dids: Iterable[str]) -> DidFilter:
        """The filter of some DIDs."""
        return cls(b"".join(sorted({hash_did(did) for did in set(dids)})))

    @classmethod
    def union(cls, filters: Iterable[DidFilter]) -> DidFilter:
        """The filter of whatever is in any of these: the same as if it were made of all their DIDs."""
        hashes: set[int] = set()
        for each in filters:
            hashes.update(each._numbers())
        return cls(b"".join([number.to_bytes(HASH_BYTES, "big") for number in sorted(hashes)]))

    @property
    def did_count(self) -> int:
        """How many hashes there are: hardly ever fewer than DIDs."""
        return len(self.hashes) // HASH_BYTES

    def may_contain(self, did_hash: bytes) -> bool:
        """Say whether the DID of this hash may be there; False is certain."""
        low, high = 0, self.did_count
        while low < high:
            middle = (low + high) >> 1
            if self.hashes[middle * HASH_BYTES : (middle + 1) * HASH_BYTES] < did_hash:
                low = middle + 1
            else:
                high = middle
        return self.hashes[low * HASH_BYTES : (low + 1) * HASH_BYTES] == did_hash

    def may_contain_any(self, did_hashes: Set[bytes]) -> bool:
        """The same for some hashes: whether any of their DIDs may be there."""
        if self.did_count < len(did_hashes):
            own = [self.hashes[at : at + HASH_BYTES] for at in range(0, len(self.hashes), HASH_BYTES)]
            return not did_hashes.isdisjoint(own)
        return any(map(self.may_contain, did_hashes))

    def is_well_formed(self) -> bool:
        """Whether these are whole hashes in order, none twice, as whoever searches them relies on."""
        if len(self.hashes) % HASH_BYTES:
            return False
        numbers = self._numbers()
        return all(map(lt, numbers, numbers[1:]))

    def _numbers(self) -> tuple[int, ...]:
        return unpack(f">{self.did_count}I", self.hashes)
