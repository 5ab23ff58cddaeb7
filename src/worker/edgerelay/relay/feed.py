"""The feed: how batches get from RelayState to the shards, without pushing a slow one.

RelayState dials a shard that has readers and sends every batch. The shard acknowledges; what is sent and not yet
acknowledged is bounded, and beyond the bound a shard is skipped. When it has caught up it is told the newest number,
sees that something is missing, and reads it: nothing is queued here.

Owns the table of shards. Dialing and sending are commands.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from edgerelay.archive.batch import Batch
from edgerelay.relay.commands import CloseShard, Command, DialShard, FeedBatch, FeedHead, ForgetShard, RememberShard
from edgerelay.relay.roster import ShardLoad

__all__ = ["Feed", "LinkState", "ShardLink"]

_US: Final = 1_000_000

WINDOW_BYTES: Final = 6_000_000
"""Bytes sent to one shard and not acknowledged: they lie in its socket's buffer, which is our memory. One batch may be
larger (a frame is 5 MB at most), so the window is open as long as nothing is on its way."""

ALL_WINDOWS_BYTES: Final = 24_000_000
"""The same over all shards, of which each has an even share: a fifth of an isolate's memory, should all be slow."""

SILENT_US: Final = 30 * _US
"""A shard that acknowledges nothing for so long, or does not pick up, is dialed anew."""

REDIAL_US: Final = 1 * _US
"""Pause before a lost shard is dialed again."""


class LinkState(StrEnum):
    """Where the connection to a shard stands."""

    WAITING = "waiting"
    DIALING = "dialing"
    OPEN = "open"


@dataclass(slots=True)
class ShardLink:
    """What RelayState knows of one shard."""

    name: str
    region: str
    state: LinkState = LinkState.WAITING
    due_us: int = 0
    clients: int = 0
    acked_seq: int = 0
    isolate: str = ""
    buffered_amount: bool = False
    load: ShardLoad = field(default_factory=ShardLoad)
    skipped: bool = False
    heard_us: int = 0
    on_the_way: deque[tuple[int, int]] = field(default_factory=deque)
    """(last number, bytes) of each batch that is not acknowledged."""
    unacked_bytes: int = 0


class Feed:
    """The shards and what each was sent."""

    def __init__(self, shards: list[tuple[str, str]]) -> None:
        self._links = {name: ShardLink(name, region) for name, region in shards}
        self.endings: Counter[str] = Counter()
        """Readers that left or were refused, over all shards, by `roster.Ending`."""

    @property
    def links(self) -> list[ShardLink]:
        """All shards that have readers, as far as is known."""
        return list(self._links.values())

    def asked(self, name: str, region: str, now_us: int) -> list[Command]:
        """A shard has readers and wants the feed. If it seems to have it, its end of it is gone."""
        link = self._links.get(name)
        if link is None:
            self._links[name] = ShardLink(name, region)
            return [RememberShard(name, region), *self.dial_due(now_us)]
        if link.state is LinkState.OPEN and now_us - link.heard_us >= REDIAL_US:
            self._reset(link, now_us)
            link.due_us = now_us
            return [CloseShard(name), *self.dial_due(now_us)]
        return self.dial_due(now_us)

    def dial_due(self, now_us: int) -> list[Command]:
        """Dial every shard whose time has come, and give up those that are silent."""
        commands: list[Command] = []
        for link in self._links.values():
            awaits = link.state is LinkState.DIALING or (link.state is LinkState.OPEN and link.on_the_way)
            if awaits and now_us - link.heard_us > SILENT_US:
                commands.append(CloseShard(link.name))
                self._reset(link, now_us)
            elif link.state is LinkState.WAITING and now_us >= link.due_us:
                link.state = LinkState.DIALING
                link.heard_us = now_us
                commands.append(DialShard(link.name, link.region))
        return commands

    def shift_clock(self, by_us: int) -> None:
        """The clock was set: what is due, or was heard, is so many microseconds later by it."""
        for link in self._links.values():
            link.due_us += by_us
            link.heard_us += by_us

    def wake_us(self) -> int | None:
        """When `dial_due` will next have something to do."""
        return min((link.due_us for link in self._links.values() if link.state is LinkState.WAITING), default=None)

    def opened(self, name: str, last_seq: int, now_us: int) -> list[Command]:
        """The shard accepted the feed; it is told where the stream stands."""
        link = self._links.get(name)
        if link is None:
            return [CloseShard(name)]
        self._reset(link, now_us)
        link.state = LinkState.OPEN
        return [FeedHead(name, last_seq)]

    def closed(self, name: str, now_us: int) -> None:
        """The socket to a shard is gone, or could not be opened."""
        link = self._links.get(name)
        if link is not None:
            self._reset(link, now_us)

    def acked(self, name: str, seq: int, clients: int, last_seq: int, now_us: int) -> list[Command]:
        """A shard has everything up to `seq`."""
        link = self._links.get(name)
        if link is None:
            return []
        link.heard_us, link.clients, link.acked_seq = now_us, clients, max(seq, link.acked_seq)
        while link.on_the_way and link.on_the_way[0][0] <= seq:
            link.unacked_bytes -= link.on_the_way.popleft()[1]
        if clients == 0:
            del self._links[name]
            return [ForgetShard(name), CloseShard(name)]
        if link.skipped and not link.on_the_way:
            link.skipped = False
            return [FeedHead(name, last_seq)]
        return []

    def told(self, name: str, isolate: str, load: ShardLoad, *, buffered_amount: bool) -> None:
        """A shard says what it runs on and what it does."""
        self.endings.update(load.endings)
        link = self._links.get(name)
        if link is not None:
            link.isolate, link.load, link.buffered_amount = isolate, load, buffered_amount

    def send(self, batch: Batch, now_us: int) -> list[Command]:
        """Hand a batch to every shard that keeps up."""
        commands: list[Command] = []
        window_bytes = min(WINDOW_BYTES, ALL_WINDOWS_BYTES // max(1, len(self._links)))
        for link in self._links.values():
            if link.state is not LinkState.OPEN:
                continue
            if link.skipped or (link.on_the_way and link.unacked_bytes + batch.size_bytes > window_bytes):
                link.skipped = True
                continue
            if not link.on_the_way:
                link.heard_us = now_us
            link.on_the_way.append((batch.head.last_seq, batch.size_bytes))
            link.unacked_bytes += batch.size_bytes
            commands.append(FeedBatch(link.name, batch))
        return commands

    def _reset(self, link: ShardLink, now_us: int) -> None:
        link.state = LinkState.WAITING
        link.due_us = now_us + REDIAL_US
        link.skipped = False
        link.on_the_way.clear()
        link.unacked_bytes = 0
        link.heard_us = now_us
