"""Who is at a shard: what is known of each reader, whether another may come in, and how each of them left.

What a reader gets is `shard`'s. This counts: connections of one address, what each reader was sent, why readers went
and why some were not let in. Addresses are as `api.address` gives them; the map of them is bounded by the readers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from edgerelay.relay.meter import Meter

__all__ = ["Admission", "Ending", "Reader", "Refusal", "Roster", "ShardLoad"]

_US: Final = 1_000_000


class Ending(StrEnum):
    """Why a reader is not there any more, or never was."""

    GONE = "gone"
    """It closed its connection, or the connection broke."""

    TOO_SLOW = "too_slow"
    """Its socket made no progress."""

    FULL_BUFFER = "full_buffer"
    """The memory of the shard was needed, and this reader held most of it."""

    FUTURE_CURSOR = "future_cursor"
    """It asked for what does not exist yet."""

    TOO_MANY_MESSAGES = "too_many_messages"
    """It said more than is borne."""

    BAD_OPTIONS = "bad_options"
    """It asked for what cannot be, or for more than can be kept."""

    REFUSED_FULL = "refused_full"
    """There was no room: readers, or readers who are behind."""

    REFUSED_BUSY = "refused_busy"
    """The shard sends as much as it can."""

    REFUSED_ADDRESS = "refused_address"
    """Its address had too many connections."""


class Admission(NamedTuple):
    """How much one shard takes."""

    clients: int
    behind: int
    """Readers who are behind, at shards for those who begin far in the past."""

    per_address: int
    deliveries_per_s: int


class Refusal(NamedTuple):
    """Why nobody else is let in."""

    ending: Ending
    message: str

    @property
    def is_final(self) -> bool:
        """It is the client's own doing, so that no other shard need be tried."""
        return self.ending is Ending.REFUSED_ADDRESS


@dataclass(slots=True)
class Reader:
    """What is known of one reader."""

    address: str
    agent: str
    wire: str
    cursor: int | None
    since_us: int
    events: int = 0
    """Sent since the shard's memory began."""

    bytes: int = 0

    def seconds(self, now_us: int) -> int:
        """How long it has been here."""
        return max(0, now_us - self.since_us) // _US


class ShardLoad(NamedTuple):
    """What a shard does for its readers. Counters begin with its memory, which it may lose by sleeping."""

    behind: int = 0
    """Readers that are not live."""

    deliveries_per_s: int = 0
    deliveries: int = 0
    """Frames given to sockets."""

    prepared: int = 0
    """Frames of the feed that were made ready for sockets, however many these are."""

    endings: Mapping[str, int] = MappingProxyType({})
    """Readers that left or were refused since the shard acknowledged last, by their ending."""


class Roster:
    """The readers of one shard."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self._readers: dict[str, Reader] = {}
        self._addresses: Counter[str] = Counter()
        self._endings: Counter[str] = Counter()
        self._meter = Meter()
        self.deliveries = 0
        """Frames given to sockets since the shard's memory began."""

    def __len__(self) -> int:
        return len(self._readers)

    def deliveries_per_s(self, now_us: int) -> int:
        """How much the shard sends."""
        return self._meter.per_s(self.deliveries, now_us)

    def refuse(self, address: str, behind: int, now_us: int) -> Refusal | None:
        """Why a client of this address may not come in; None if it may. It counts as refused."""
        refusal = self._refusal(address, behind, now_us)
        if refusal is not None:
            self._endings[refusal.ending] += 1
        return refusal

    def _refusal(self, address: str, behind: int, now_us: int) -> Refusal | None:
        limits = self.admission
        if len(self._readers) >= limits.clients or behind >= limits.behind:
            return Refusal(Ending.REFUSED_FULL, "too many clients")
        if self._addresses[address] >= limits.per_address:
            return Refusal(Ending.REFUSED_ADDRESS, f"more than {limits.per_address} connections from your address")
        if self.deliveries_per_s(now_us) >= limits.deliveries_per_s:
            return Refusal(Ending.REFUSED_BUSY, "too many deliveries")
        return None

    def enter(self, name: str, reader: Reader) -> None:
        """A reader was let in, or its socket outlived our memory."""
        self._readers[name] = reader
        self._addresses[reader.address] += 1

    def sent(self, name: str, events: int, size_bytes: int) -> None:
        """A reader was sent so many events."""
        self.deliveries += events
        reader = self._readers.get(name)
        if reader is not None:
            reader.events += events
            reader.bytes += size_bytes

    def leave(self, name: str, ending: Ending) -> Reader | None:
        """A reader left; answers what was known of it, or None if it had left before."""
        reader = self._readers.pop(name, None)
        if reader is None:
            return None
        self._endings[ending] += 1
        self._addresses[reader.address] -= 1
        if not self._addresses[reader.address]:
            del self._addresses[reader.address]
        return reader

    def load(self, behind: int, prepared: int, now_us: int) -> ShardLoad:
        """What the shard does; endings are told once."""
        return ShardLoad(behind, self.deliveries_per_s(now_us), self.deliveries, prepared, self.take_endings())

    def take_endings(self) -> dict[str, int]:
        """How many readers left or were refused since this was asked last, by their ending."""
        taken = {str(ending): count for ending, count in self._endings.items()}
        self._endings.clear()
        return taken
