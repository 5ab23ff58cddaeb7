"""Whose turn it is, among the readers of one shard that are behind.

A reader that waits for an answer has no turns. One whose socket was full rests, the longer the more often it was found
so: to look at a socket takes some microseconds, hundreds may be full, and whoever takes what comes must not wait for
that. Whoever got something comes last the next time.

What a reader gets in its turn, and how much, is `relay.shard`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from edgerelay.relay.channel import Channel
from edgerelay.relay.pace import BlindPace

__all__ = ["FIRST_REST_US", "LONGEST_REST_US", "PACE_US", "ReaderBehind", "Turns"]

FIRST_REST_US: Final = 5_000
"""Microseconds after which a socket that was full is looked at again: one that takes 20 KB each time gets 4 MB/s, and
the whole network is 2.3 MB/s."""

LONGEST_REST_US: Final = 160_000
"""The longest rest; each is twice as long as the one before."""

PACE_US: Final = 20_000
"""Microseconds between two rounds of turns in which nobody got anything."""

B = TypeVar("B")


@dataclass(slots=True)
class ReaderBehind(Generic[B]):
    """A reader that is behind."""

    id: str
    cursor: int
    first_number: int
    """No message with a smaller one is wanted."""

    tell_missing: bool
    progress_us: int
    pace: BlindPace
    is_doubtful: bool = False
    is_idle: bool = False
    """There was nothing at its cursor, and without a head nothing tells when there will be."""

    live_if_future: bool = False
    batch: B | None = None
    reading: Channel | None = None
    """For which the answer that it waits for was asked for."""

    unsent_bytes: int = 0
    """What waited in its socket when that was looked at, and what it got since."""

    rest_us: int = 0
    """The rest that it has, or had last; 0 if its socket had room when it was looked at."""

    look_us: int = 0
    """When its rest ends."""

    def wants_turns(self, head: int | None) -> bool:
        """Whether it does not only wait for the batch that its cursor lies in."""
        return head is None or self.cursor <= head or self.is_doubtful or self.batch is not None


class Turns(Generic[B]):
    """All that are behind, by their names, in the order of their turns."""

    def __init__(self) -> None:
        self._readers: dict[str, ReaderBehind[B]] = {}
        self._in_turn: dict[str, ReaderBehind[B]] = {}
        self._next_us = 0

    def __len__(self) -> int:
        return len(self._readers)

    def __iter__(self) -> Iterator[ReaderBehind[B]]:
        return iter(list(self._readers.values()))

    def get(self, reader: str) -> ReaderBehind[B] | None:
        """A reader; None if it is not behind."""
        return self._readers.get(reader)

    def add(self, reader: ReaderBehind[B]) -> None:
        """A reader is behind from now on."""
        self._readers[reader.id] = self._in_turn[reader.id] = reader

    def pop(self, reader: str) -> ReaderBehind[B] | None:
        """A reader is not behind any more, or gone; None if it was not behind."""
        self._in_turn.pop(reader, None)
        return self._readers.pop(reader, None)

    def due(self, now_us: int) -> Iterator[ReaderBehind[B]]:
        """Those who have a turn now, as long as the caller goes on."""
        self._next_us = now_us + PACE_US
        for reader in list(self._in_turn.values()):
            if now_us < reader.look_us <= now_us + LONGEST_REST_US:  # and not because the clock was set back
                self._next_us = min(self._next_us, reader.look_us)
            else:
                yield reader

    def wait_us(self, now_us: int) -> int:
        """Microseconds until there is something to look at again, if nobody got anything."""
        return min(max(0, self._next_us - now_us), PACE_US)

    def ask(self, reader: ReaderBehind[B], channel: Channel) -> None:
        """A reader waits for an answer."""
        reader.reading = channel
        del self._in_turn[reader.id]

    def answer(self, reader: ReaderBehind[B]) -> None:
        """A reader waits no longer."""
        reader.reading = None
        self._in_turn[reader.id] = reader

    def served(self, reader: ReaderBehind[B]) -> None:
        """A reader got something: the others come first next time."""
        if reader.id in self._in_turn:
            self._in_turn[reader.id] = self._in_turn.pop(reader.id)

    def rest(self, reader: ReaderBehind[B], now_us: int) -> None:
        """Its socket was full."""
        reader.rest_us = min(max(FIRST_REST_US, 2 * reader.rest_us), LONGEST_REST_US)
        reader.look_us = now_us + reader.rest_us
        self._next_us = min(self._next_us, reader.look_us)
