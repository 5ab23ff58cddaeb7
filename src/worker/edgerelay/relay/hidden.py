"""The hidden accounts, as a shard knows them: whose events it leaves out when it reads them back.

Live events need no such check, because commits of hidden accounts get no number; and `#account` events, which say that
an account is hidden or is back, are never left out.

The set may be large, so it is held as sorted numbers of 8 bytes, the beginnings of the accounts' keys: that a set of a
million hides one of ten million accounts by mistake has a chance of one in two million.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Final

from edgerelay.archive.batch import BatchHead
from edgerelay.archive.hiding import Visibility, VisibilityChange
from edgerelay.relay.accounts import hash_did

__all__ = ["HiddenAccounts"]

PREFIX_BYTES: Final = 8
"""Of an account's key: what fits a machine word."""

MIN_UNSORTED: Final = 4_096
"""Changes that are looked up apart, 0.5 MB, before all are sorted anew."""

UNSORTED_SHARE: Final = 8
"""One in so many may be looked up apart, so that taking in a million changes does not sort again and again."""

REMEMBERED_HEADS: Final = 16
"""Batches of which it is remembered what is hidden: readers that are behind come back to the same few."""

_NUMBERS: Final = "Q"
_ACCOUNT: Final = "#account"


class HiddenAccounts:
    """The set, and how far it follows the changes."""

    def __init__(self) -> None:
        self.version = 0
        """Everything up to this change is taken in."""

        self._sorted = array(_NUMBERS)
        self._changed: dict[int, bool] = {}
        self._found: dict[int, tuple[BatchHead, frozenset[int]]] = {}

    def __len__(self) -> int:
        return len(self._sorted) + sum(self._changed.values())

    def take(self, changes: Iterable[VisibilityChange]) -> None:
        """Take changes in, in their order. Those up to `version` are known, or older than what is known."""
        for version, key, visibility in changes:
            if version <= self.version:
                continue
            self.version = version
            self._changed[_number(key)] = visibility is not Visibility.SHOWN
            if len(self._changed) > max(MIN_UNSORTED, len(self._sorted) // UNSORTED_SHARE):
                self._sort()
        self._found.clear()

    def hides(self, did: str) -> bool:
        """Whether replay leaves an account out."""
        number = _number(hash_did(did))
        is_hidden = self._changed.get(number)
        if is_hidden is not None:
            return is_hidden
        index = bisect_left(self._sorted, number)
        return index < len(self._sorted) and self._sorted[index] == number

    def indexes(self, head: BatchHead) -> frozenset[int]:
        """Which events of a batch are left out."""
        if not self._sorted and not self._changed:
            return frozenset()
        known = self._found.get(id(head))  # which nobody else has as long as it is held here
        if known is not None:
            return known[1]
        hidden = {did for did in set(head.dids) if self.hides(did)}
        pairs = enumerate(zip(head.dids, head.kinds, strict=True))
        found = frozenset([index for index, (did, kind) in pairs if did in hidden and kind != _ACCOUNT])
        if len(self._found) >= REMEMBERED_HEADS:
            del self._found[next(iter(self._found))]
        self._found[id(head)] = head, found
        return found

    def _sort(self) -> None:
        """Merge by runs of numbers that stay: as Python's own integers they would take five times the room."""
        merged, start = array(_NUMBERS), 0
        for number, is_hidden in sorted(self._changed.items()):
            end = bisect_left(self._sorted, number, start)
            merged += self._sorted[start:end]
            if is_hidden:
                merged.append(number)
            start = bisect_right(self._sorted, number, end)
        self._sorted = merged + self._sorted[start:]
        self._changed.clear()


def _number(key: bytes) -> int:
    return int.from_bytes(key[:PREFIX_BYTES], "big")
