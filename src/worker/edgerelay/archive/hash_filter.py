"""Filters by hashes: which names may occur in a block, or in a whole object.

A filter is the sorted set of the names' hashes, of 4 bytes each: 32 bits a name. It says "certainly not" for all but n
of 4,294,967,296 names that do not occur, where n do: a block with 80 accounts is read in vain once in 50 million times,
an object with 40,000 once in 100,000.

Why not a Bloom filter of 10 bits a name: filters of different sizes cannot be united, and compaction, which sees sealed
blocks alone, has to unite them. And 1 % of the blocks of 62 days, read in vain for one account, is far more than what
the larger filters take, about a thousandth of the blocks.

What is hashed, and how, says each kind of filter.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from operator import lt
from struct import unpack
from typing import Final, NamedTuple, Self

__all__ = ["HASH_BYTES", "HashFilter"]

HASH_BYTES: Final = 4
"""Of a hash that all names have equally often, from its beginning."""


class HashFilter(NamedTuple):
    """A set of hashes."""

    hashes: bytes
    """One behind the other, in order, none twice."""

    @classmethod
    def of_hashes(cls, hashes: Iterable[bytes]) -> Self:
        """The filter of the names that have these hashes."""
        return cls(b"".join(sorted(set(hashes))))

    @classmethod
    def union(cls, filters: Iterable[Self]) -> Self:
        """The filter of whatever is in any of these: the same as if it were made of all their names."""
        hashes: set[int] = set()
        for each in filters:
            hashes.update(each._numbers())
        return cls(b"".join([number.to_bytes(HASH_BYTES, "big") for number in sorted(hashes)]))

    @property
    def hash_count(self) -> int:
        """How many hashes there are: hardly ever fewer than names."""
        return len(self.hashes) // HASH_BYTES

    def may_contain(self, name_hash: bytes) -> bool:
        """Say whether the name of this hash may be there; False is certain."""
        low, high = 0, self.hash_count
        while low < high:
            middle = (low + high) >> 1
            if self.hashes[middle * HASH_BYTES : (middle + 1) * HASH_BYTES] < name_hash:
                low = middle + 1
            else:
                high = middle
        return self.hashes[low * HASH_BYTES : (low + 1) * HASH_BYTES] == name_hash

    def may_contain_any(self, name_hashes: Set[bytes]) -> bool:
        """The same for some hashes: whether any of their names may be there."""
        if self.hash_count < len(name_hashes):
            own = [self.hashes[at : at + HASH_BYTES] for at in range(0, len(self.hashes), HASH_BYTES)]
            return not name_hashes.isdisjoint(own)
        return any(map(self.may_contain, name_hashes))

    def is_well_formed(self) -> bool:
        """Whether these are whole hashes in order, none twice, as whoever searches them relies on."""
        if len(self.hashes) % HASH_BYTES:
            return False
        numbers = self._numbers()
        return all(map(lt, numbers, numbers[1:]))

    def _numbers(self) -> tuple[int, ...]:
        return unpack(f">{self.hash_count}I", self.hashes)
