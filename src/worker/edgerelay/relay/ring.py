"""The newest batches, in memory, bounded in bytes.

A cache: everything in it is in the hot log too, so it may forget at any time. It holds one unbroken run; a batch that
does not follow the last one starts a new run.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Generic, Protocol, TypeVar

from edgerelay.archive.batch import BatchHead

__all__ = ["HasHead", "Ring"]


class HasHead(Protocol):
    """A batch in some form: its frames may be Python bytes, or a buffer of the platform."""

    @property
    def head(self) -> BatchHead: ...

    @property
    def size_bytes(self) -> int: ...


B = TypeVar("B", bound=HasHead)


class Ring(Generic[B]):
    """A run of recent batches."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._batches: deque[B] = deque()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._batches)

    def append(self, batch: B) -> None:
        """Add the newest batch and forget the oldest ones beyond the limit. One batch is always kept."""
        if self._batches and batch.head.prev_seq != self._batches[-1].head.last_seq:
            self.clear()
        self._batches.append(batch)
        self.size_bytes += batch.size_bytes
        while self.size_bytes > self._limit_bytes and len(self._batches) > 1:
            self.size_bytes -= self._batches.popleft().size_bytes

    def clear(self) -> None:
        """Forget everything."""
        self._batches.clear()
        self.size_bytes = 0

    def find(self, cursor: int) -> B | None:
        """The batch with the first event whose number is at least `cursor`, if the ring is sure to hold it.

        None also when an older batch, forgotten by now, could hold such an event.
        """
        return next(self.since(cursor), None)

    def since(self, cursor: int) -> Iterator[B]:
        """That batch and all that follow it."""
        if not self._batches or cursor <= self._batches[0].head.prev_seq:
            return iter(())
        return islice(self._batches, bisect_left(self._batches, cursor, key=_last_seq), None)


def _last_seq(batch: HasHead) -> int:
    return batch.head.last_seq
