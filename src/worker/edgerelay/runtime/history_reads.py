"""Reads history for all readers of a shard that are behind: one read after the other, and not all the time.

A read takes an interpreter some milliseconds in which nothing else happens, and while reads follow each other, whatever
else comes has one turn between two of them: a frame of the upstream is one such thing. So after each read there is a
rest as long as that took, for the live stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

from edgerelay.relay.channel import Wire
from edgerelay.relay.ring import HasHead
from edgerelay.relay.rounds import Rounds
from edgerelay.relay.shard_commands import History, Read

__all__ = ["HistoryReads"]

_S_US: Final = 1_000_000

LIVE_US: Final = 2 * _S_US
"""The stream is live if its newest number is not older."""

SHORTEST_REST_US: Final = 5_000
"""Those who were answered take what they got, and ask for what follows."""

LONGEST_REST_US: Final = 200_000
"""After a read that had to wait for the bucket, the stream had time enough."""

B = TypeVar("B", bound=HasHead)


class HistoryReads(Generic[B]):
    """The reads of one shard."""

    def __init__(
        self,
        find: Callable[[Read], Awaitable[History[B] | None]],
        answer: Callable[[Read, History[B]], None],
        head: Callable[[], int | None],
        clock: Callable[[], int],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """Read by `find`, which has nothing for a reader that is to ask again, and tell whoever asked.

        Args:
            head: the newest number of the stream.
            spawn: runs a task.
        """
        self._find = find
        self._answer = answer
        self._head = head
        self._clock = clock
        self._spawn = spawn
        self._rounds = Rounds()
        self._is_reading = False

    def ask(self, read: Read) -> None:
        """A reader wants what its cursor leads to."""
        self._rounds.add(read)
        if not self._is_reading:
            self._is_reading = True
            self._spawn(self._read_all())

    async def _read_all(self) -> None:
        while (read := self._rounds.next()) is not None:
            began_us = self._clock()
            history = await self._find(read)
            if history is not None:
                self._answer(read, history)
                self._answer_others(history.batch, read.channel.wire)
            await asyncio.sleep(self._rest_us(began_us) / _S_US)
        self._is_reading = False

    def _answer_others(self, batch: B | None, wire: Wire) -> None:
        """Those who stand within what was read: nothing lacks between them and its next event."""
        if batch is None:
            return
        head = batch.head
        for read in self._rounds.take(head.prev_seq + 1, head.last_seq, has_lines=wire.has_lines):
            self._answer(read, History(batch, 0))

    def _rest_us(self, began_us: int) -> int:
        now_us, head = self._clock(), self._head()
        if head is None or now_us - head > LIVE_US:
            return SHORTEST_REST_US
        return min(max(now_us - began_us, SHORTEST_REST_US), LONGEST_REST_US)
