"""Reads history for all readers of a shard that are behind: one read after the other, and not all the time.

A read takes an interpreter some milliseconds in which nothing else happens, and while reads follow each other, whatever
else comes has one turn between two of them: a frame of the upstream is one such thing. So after each read there is a
rest, for the live stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Generic, Protocol, TypeVar

from edgerelay.archive.jetstream_block import LineBlock
from edgerelay.relay.channel import Wire
from edgerelay.relay.read_queue import ReadQueue
from edgerelay.relay.ring import HasHead
from edgerelay.relay.shard_commands import History, Read

__all__ = ["HasReaders", "HistoryReads"]

_S_US: Final = 1_000_000

LIVE_US: Final = 2 * _S_US
"""The stream is live if its newest number is not older."""

SHORTEST_REST_US: Final = 3_000
"""Some runtimes look at their sockets only between timers: without it nobody is let in while one reads on and on."""

WORK_US: Final = 20_000
"""For one reader alone, without a live stream: for so long there is no rest."""

LONGEST_REST_US: Final = 20_000
"""A read that took longer had to wait for others, such as the bucket, while the stream had time enough."""

B = TypeVar("B", bound=HasHead)


class HasReaders(Protocol):
    """A shard, as far as its reads look at it."""

    @property
    def head(self) -> int | None:
        """The newest number of the stream."""

    def awaits(self, read: Read) -> bool:
        """Whether whoever asked still waits for an answer."""


class HistoryReads(Generic[B]):
    """The reads of one shard."""

    def __init__(
        self,
        find: Callable[[Read], Awaitable[History[B] | None]],
        answer: Callable[[Read, History[B]], None],
        shard: HasReaders,
        clock: Callable[[], int],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """Read by `find`, which has nothing for a reader that is to ask again, and tell whoever asked.

        Args:
            spawn: runs a task.
        """
        self._find = find
        self._answer = answer
        self._shard = shard
        self._clock = clock
        self._spawn = spawn
        self._queue = ReadQueue()
        self._is_reading = False
        self._rested_us = 0

    def ask(self, read: Read) -> None:
        """A reader wants what its cursor leads to."""
        self._queue.add(read, self._clock())
        if not self._is_reading:
            self._is_reading = True
            self._spawn(self._read_all())

    async def _read_all(self) -> None:
        while (read := self._queue.next(self._clock())) is not None:
            if not self._shard.awaits(read):
                continue  # it has left
            began_us = self._clock()
            history = await self._find(read)
            if history is not None:
                self._answer(read, history)
                self._answer_others(history.batch, read.channel.wire)
            rest_us = self._rest_us(began_us)
            await asyncio.sleep(rest_us / _S_US)
            if rest_us:
                self._rested_us = self._clock()
        self._is_reading = False

    def _answer_others(self, batch: B | None, wire: Wire) -> None:
        """Those who stand within what was read: nothing lacks between them and its next event.

        Lines of the archive are only read from the beginning of their block (`kept_lines`).
        """
        if batch is None:
            return
        last_seq = batch.first_seq if isinstance(batch, LineBlock) else batch.head.last_seq
        for read in self._queue.take(batch.head.prev_seq + 1, last_seq, has_lines=wire.has_lines):
            self._answer(read, History(batch, 0))

    def _rest_us(self, began_us: int) -> int:
        now_us, head = self._clock(), self._shard.head
        if head is None or now_us - head > LIVE_US:
            is_due = self._queue or not 0 <= now_us - self._rested_us < WORK_US
            return SHORTEST_REST_US if is_due else 0
        return min(max(now_us - began_us, SHORTEST_REST_US), LONGEST_REST_US)
