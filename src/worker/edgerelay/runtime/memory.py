"""The ports without a platform: whoever holds them plays the hosts, the shards and the clock.

What the platform's sockets do, these do too: an attempt is answered later, what comes in under a socket that was closed
is gone, and what is sent into one is lost without a word. Nothing happens by itself. For tests, rehearsals and tools.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from edgerelay.archive.batch import Batch
from edgerelay.atproto.lookup import PATIENCE_S
from edgerelay.atproto.signatures import SignatureCheck
from edgerelay.errors import InvariantError
from edgerelay.relay.events import (
    Event,
    FramesReceived,
    ShardAcked,
    ShardClosed,
    ShardOpened,
    StatusTold,
    TextReceived,
    UpstreamClosed,
    UpstreamFailed,
    UpstreamOpened,
)
from edgerelay.relay.lookups import Inquiry, LookupAnswer
from edgerelay.relay.vetting import CheckSignatures, IdentitiesResolved, SignaturesChecked, VettingEvent
from edgerelay.runtime.fetcher import ACCEPT, MAX_BODY_BYTES, Fetched, FetchError
from edgerelay.runtime.group_queue import QueueError
from edgerelay.runtime.object_index import IndexPage, ObjectIndexError
from edgerelay.runtime.objects import MAX_LISTED, ObjectMissingError, ObjectStoreError, Tail

__all__ = [
    "ManualClock",
    "ManualTimer",
    "MemoryDirectory",
    "MemoryFetcher",
    "MemoryIndex",
    "MemoryLog",
    "MemoryObjects",
    "MemoryQueue",
    "MemoryShards",
    "MemorySignatures",
    "MemoryUpstream",
]

Deliver = Callable[[Event], None]


class ManualClock:
    """A clock that stands still until somebody sets it."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


class ManualTimer:
    """`Timer` that goes off when it is asked to, if its time has come."""

    def __init__(self, clock: Callable[[], int], fire: Callable[[], None]) -> None:
        self._clock = clock
        self._fire = fire
        self.at_us: int | None = None

    def set(self, at_us: int) -> None:
        self.at_us = at_us

    def go_off(self) -> bool:
        """Fire if it is due; tells whether it was."""
        if self.at_us is None or self._clock() < self.at_us:
            return False
        self.at_us = None
        self._fire()
        return True


class MemoryUpstream:
    """`UpstreamPort` whose host is played by the caller."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self.connection: int | None = None
        """Number of the socket that is open or being opened."""

        self.cursor: int | None = None
        self.is_open = False

    def open(self, connection: int, cursor: int | None) -> None:
        if self.connection is not None:
            raise InvariantError(f"socket {connection} is opened while {self.connection} is there")
        self.connection, self.cursor = connection, cursor

    def close(self, connection: int) -> None:
        if connection == self.connection:
            self.connection, self.is_open = None, False

    def accept(self, host_time_us: int | None = None, kind: str = "") -> None:
        """The host answers with an upgrade."""
        if self.connection is not None and not self.is_open:
            self.is_open = True
            self._deliver(UpstreamOpened(self.connection, host_time_us, kind))

    def refuse(self, problem: str, status: int = 0, retry_after_s: int = 0) -> None:
        """The host answers with something else, or not at all."""
        if self.connection is not None and not self.is_open:
            connection, self.connection = self.connection, None
            self._deliver(UpstreamFailed(connection, problem, status, retry_after_s))

    def send(self, *frames: bytes) -> None:
        """The host sends binary messages."""
        if self.connection is not None and self.is_open:
            self._deliver(FramesReceived(self.connection, list(frames)))

    def send_text(self) -> None:
        """The host sends a text message."""
        if self.connection is not None and self.is_open:
            self._deliver(TextReceived(self.connection))

    def drop(self, problem: str) -> None:
        """The socket breaks."""
        if self.connection is not None and self.is_open:
            connection, self.connection, self.is_open = self.connection, None, False
            self._deliver(UpstreamClosed(connection, problem))


class MemoryShards:
    """`ShardPort` whose shards are played by the caller."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self.dialed: dict[str, str] = {}
        """Shards that have not answered yet, with their regions."""

        self.fed: dict[str, list[Batch | int]] = {}
        """What each open shard was sent: batches, and the newest numbers that it was told."""

    def dial(self, shard: str, region: str) -> None:
        self.dialed[shard] = region

    def send_batch(self, shard: str, batch: Batch) -> None:
        if shard in self.fed:
            self.fed[shard].append(batch)

    def send_head(self, shard: str, last_seq: int) -> None:
        if shard in self.fed:
            self.fed[shard].append(last_seq)

    def close(self, shard: str) -> None:
        self.fed.pop(shard, None)

    def accept(self, shard: str) -> None:
        """A shard that was dialed takes the feed; closing it meanwhile has changed nothing."""
        if self.dialed.pop(shard, None) is not None:
            self.fed[shard] = []
            self._deliver(ShardOpened(shard))

    def drop(self, shard: str) -> None:
        """A shard does not pick up, or its feed breaks."""
        was_dialed, was_fed = self.dialed.pop(shard, None), self.fed.pop(shard, None)
        if was_dialed is not None or was_fed is not None:
            self._deliver(ShardClosed(shard))

    def acknowledge(self, shard: str, seq: int, clients: int) -> None:
        """A shard tells what it has, and how many read it."""
        if shard in self.fed:
            self._deliver(ShardAcked(shard, seq, clients))


class MemoryFetcher:
    """`Fetcher` whose web is a mapping; elsewhere nobody answers."""

    def __init__(self) -> None:
        self.web: dict[str, Fetched | FetchError] = {}
        """What each URL answers, or why it does not."""

        self.latency_s: dict[str, float] = {}
        """How long each URL takes to answer, or not to; elsewhere no time at all."""

        self.asked: list[str] = []
        """Every URL that was asked for, in order."""

        self.pending = 0
        self.most_pending = 0
        """How many answers were waited for at once."""

    async def fetch(
        self, url: str, timeout_s: int = PATIENCE_S, max_bytes: int = MAX_BODY_BYTES, accept: str = ACCEPT
    ) -> Fetched:
        self.asked.append(url)
        self.pending += 1
        self.most_pending = max(self.most_pending, self.pending)
        await asyncio.sleep(self.latency_s.get(url, 0))
        self.pending -= 1
        answer = self.web.get(url, FetchError("network: nobody is there"))
        if isinstance(answer, FetchError):
            raise answer
        return answer._replace(body=answer.body[:max_bytes])


class MemorySignatures:
    """`SignaturePort` whose verdicts are the caller's."""

    def __init__(self, deliver: Callable[[VettingEvent], None]) -> None:
        self._deliver = deliver
        self.batches: list[CheckSignatures] = []
        """What was not answered yet."""

    def check(self, batch: CheckSignatures) -> None:
        self.batches.append(batch)

    def answer(self, is_right: Callable[[SignatureCheck], bool]) -> None:
        """Answer everything that was asked."""
        batches, self.batches = self.batches, []
        for batch in batches:
            self._deliver(SignaturesChecked(batch, [is_right(check) for check in batch.checks]))


class MemoryDirectory:
    """`IdentityPort` whose answers are the caller's."""

    def __init__(self, deliver: Callable[[Event | VettingEvent], None]) -> None:
        self._deliver = deliver
        self.inquiries: list[Inquiry] = []
        """What was not answered yet."""

        self.statuses: list[tuple[str, str]] = []
        """DID and origin of each question about a status without an answer."""

    def look_up(self, inquiry: Inquiry) -> None:
        self.inquiries.append(inquiry)

    def ask_status(self, did: str, origin: str) -> None:
        self.statuses.append((did, origin))

    def answer(self, resolve: Callable[[str], LookupAnswer]) -> None:
        """Answer every question for an identity."""
        inquiries, self.inquiries = self.inquiries, []
        for inquiry in inquiries:
            self._deliver(IdentitiesResolved(inquiry, [resolve(did) for did in inquiry.dids]))

    def tell(self, *, active: bool | None, status: str | None = None) -> None:
        """Answer every question about a status."""
        statuses, self.statuses = self.statuses, []
        for did, _ in statuses:
            self._deliver(StatusTold(did, active, status))


class MemoryObjects:
    """`ObjectStore` in a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.problem = ""
        """Why no call succeeds; empty if they do."""

        self.reads = 0
        """How many parts of objects were read."""

    async def put(self, name: str, data: bytes) -> bool:
        self._check()
        is_new = name not in self.objects
        self.objects.setdefault(name, data)
        return is_new

    async def stream(self, name: str, size_bytes: int, parts: AsyncIterator[bytes]) -> bool:
        data = b"".join([part async for part in parts])
        if len(data) != size_bytes:
            raise ObjectStoreError(f"{name}: {len(data)} bytes instead of {size_bytes}")
        return await self.put(name, data)

    async def replace(self, name: str, data: bytes) -> None:
        self._check()
        self.objects[name] = data

    async def read(self, name: str, offset: int, length: int) -> bytes:
        return self._get(name)[offset : offset + length]

    async def read_tail(self, name: str, length: int) -> Tail:
        data = self._get(name)
        return Tail(data[-length:], len(data))

    async def names(self, prefix: str, after: str = "", limit: int = MAX_LISTED) -> list[str]:
        self._check()
        return sorted(name for name in self.objects if name.startswith(prefix) and name > after)[:limit]

    async def delete(self, names: Sequence[str]) -> None:
        self._check()
        for name in names:
            self.objects.pop(name, None)

    def _get(self, name: str) -> bytes:
        self._check()
        self.reads += 1
        if name not in self.objects:
            raise ObjectMissingError(name)
        return self.objects[name]

    def _check(self) -> None:
        if self.problem:
            raise ObjectStoreError(self.problem)


class MemoryQueue:
    """`GroupQueue` whose messages the caller delivers."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.problem = ""
        """Why nothing can be sent; empty if it can."""

    async def send(self, text: str) -> None:
        if self.problem:
            raise QueueError(self.problem)
        self.messages.append(text)


class MemoryIndex:
    """`ObjectIndex` in a dictionary."""

    def __init__(self) -> None:
        self.entries: dict[str, tuple[Mapping[str, Any], int]] = {}
        """The facts of each row, and when it expires."""

        self.problem = ""
        """Why no call succeeds; empty if they do."""

    async def put(self, key: str, facts: Mapping[str, Any], expires_s: int) -> None:
        self._check()
        self.entries[key] = (facts, expires_s)

    async def delete(self, key: str) -> None:
        self._check()
        self.entries.pop(key, None)

    async def rows(self, prefix: str, cursor: str = "") -> IndexPage:
        self._check()
        keys = sorted(key for key in self.entries if key.startswith(prefix) and key > cursor)
        page = {key: self.entries[key][0] for key in keys[:MAX_LISTED]}
        return IndexPage(page, keys[MAX_LISTED - 1] if len(keys) > MAX_LISTED else "")

    def _check(self) -> None:
        if self.problem:
            raise ObjectIndexError(self.problem)


class MemoryLog:
    """`LogSink` that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, Mapping[str, object]]] = []

    def write(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        self.lines.append((level, event, fields))

    def named(self, event: str) -> list[Mapping[str, object]]:
        """The fields of every line of this name."""
        return [fields for _, name, fields in self.lines if name == event]
