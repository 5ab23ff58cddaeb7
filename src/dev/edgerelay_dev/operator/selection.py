"""Which events are wanted, and which objects and blocks can be passed over unread.

A filter of DIDs or a set of collections that denies is certain; one that does not may be wrong, so that every event is
asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from edgerelay.archive.block import MAX_SEQ, Contents
from edgerelay.archive.container_index import ContainerIndex
from edgerelay.archive.did_filter import hash_did

__all__ = ["Selection"]


class Selection(NamedTuple):
    """Events from a number on and before another, of some accounts, and that write to some collections."""

    first_seq: int = 0
    end_seq: int = MAX_SEQ + 1
    """The first number that is not wanted any more."""

    dids: frozenset[str] = frozenset()
    """Empty: of all."""

    collections: frozenset[str] = frozenset()
    """Empty: whatever it writes to, and if it writes nothing."""

    def overlaps(self, first_seq: int, last_seq: int) -> bool:
        """Whether numbers of this range, ends included, are wanted."""
        return first_seq < self.end_seq and last_seq >= self.first_seq

    def may_match(self, part: Contents | ContainerIndex) -> bool:
        """Whether an event of a block or an object may be wanted; False is certain."""
        return (
            self.overlaps(part.first_seq, part.last_seq)
            and (not self.dids or part.did_filter is None or any(map(part.did_filter.may_contain, self._hashes())))
            and (not self.collections or part.collections is None or not self.collections.isdisjoint(part.collections))
        )

    def wants(self, seq: int, did: str, paths: Sequence[str]) -> bool:
        """Whether this event is wanted."""
        return (
            self.first_seq <= seq < self.end_seq
            and (not self.dids or did in self.dids)
            and (not self.collections or any(self.wants_collection(path.partition("/")[0]) for path in paths))
        )

    def wants_collection(self, collection: str) -> bool:
        """Whether an operation on this collection is wanted; empty for what is no operation."""
        return not self.collections or collection in self.collections

    def _hashes(self) -> Iterable[bytes]:
        return map(hash_did, self.dids)
