"""What becomes of a history while everybody works on it at once: archivist, archiver, compaction, sweep and purger.

Each of them is led from effect to effect, and may fail or be killed there. The annals know what happened, and look over
the shoulder of readers: what they get is right in each moment.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from edgerelay.api.order import Action, Order
from edgerelay.archive.batch import Batch, BatchHead, decode_head
from edgerelay.archive.block import unseal
from edgerelay.archive.codec import ZLIB, ZlibCodec
from edgerelay.archive.container_index import Stream
from edgerelay.archive.cutting import HOUR_US, hour_of
from edgerelay.archive.firehose_block import open_batch
from edgerelay.archive.hour_names import split_covered
from edgerelay.archive.jetstream import Line, LineKind, Rendering
from edgerelay.archive.jetstream_block import open_lines
from edgerelay.archive.object_names import Folder, ObjectName, own_names
from edgerelay.errors import EdgeRelayError
from edgerelay.relay.hidden import HiddenAccounts
from edgerelay.relay.relay import STORAGE_RETRY_US
from edgerelay.relay.shard_commands import History
from edgerelay.runtime.archive_reader import ArchiveReader
from edgerelay.runtime.archiver import Archiver, Message
from edgerelay.runtime.compaction import GRACE_US, SETTLE_US, Compaction
from edgerelay.runtime.container_objects import read_blocks, read_index
from edgerelay.runtime.hour_index import HourIndex
from edgerelay.runtime.kept_lines import KeptLines
from edgerelay.runtime.line_writer import LineWriter
from edgerelay.runtime.memory import MemoryIndex
from edgerelay.runtime.orders import carry_out
from edgerelay.runtime.purger import SETTLE_US as PURGE_SETTLE_US
from edgerelay.runtime.purges import Purges
from edgerelay.runtime.reindex import reindex
from edgerelay.runtime.replay import Replay
from edgerelay.runtime.sql import Sqlite
from edgerelay.runtime.sweep import GRACE_US as KEPT_GRACE_US
from edgerelay.runtime.sweep import sweep
from tests.coroutines import finished
from tests.effects import Led, LedIndex, LedObjects
from tests.oracle import frames
from tests.unit.runtime.test_node import World

__all__ = ["Annals", "Viewer"]

ACCOUNT = "#account"
S_US = 1_000_000
INVOCATION_US = 900 * S_US
"""The platform lets no invocation live longer."""

RETENTION_US = 24 * HOUR_US
SEGMENT_BYTES = 1_500
CODECS = {ZLIB: ZlibCodec()}
OF_RELAY_STATE = ("archivist", "purger", "export")


class Fact(NamedTuple):
    """An event as it was written."""

    seq: int
    frame: bytes
    kind: str
    did: str


def facts_of(batch: Batch) -> list[Fact]:
    """What is in a batch."""
    parts = zip(batch.split(), batch.head.kinds, batch.head.dids, strict=True)
    return [Fact(seq, frame, kind, did) for (seq, frame), kind, did in parts]


class Viewer:
    """Reads on from a cursor as a subscriber's shard does, with the hidden accounts of each moment."""

    def __init__(self, annals: Annals, cursor: int) -> None:
        self.cursor = cursor
        self.is_looking = False
        self._annals = annals
        self._gone = dict(annals.gone)
        """What was gone already when it came; of other blocks it may remember what they were."""

        objects = LedObjects(annals.world.effects, annals.world.objects)
        archive = ArchiveReader(objects, lambda block: open_batch(block, CODECS))
        self._replay = Replay(archive, KeptLines(objects, CODECS, annals.world.log), annals.read_log, annals.world.log)

    async def look(self) -> None:
        """Read once, and let the annals check it."""
        self.is_looking = True
        try:
            batch, missing_up_to, _ = await self._replay.find(self.cursor)
        finally:
            self.is_looking = False
        first = self.cursor
        if missing_up_to >= first:
            self._annals.check_hole(first, missing_up_to)
            self.cursor = first = missing_up_to + 1
        if batch is not None:
            assert isinstance(batch, Batch)
            head = batch.head
            hidden = self._annals.hides().indexes(head)
            got = [
                fact
                for index, fact in enumerate(facts_of(batch))
                if fact.seq >= first and fact.frame and index not in hidden
            ]
            self.cursor = max(first, head.last_seq + 1)
            self._annals.check_seen(got, first, self.cursor)
            assert not [fact for fact in got if fact.kind != ACCOUNT and fact.seq <= self._gone.get(fact.did, 0)]

    def look_at_all(self) -> None:
        before = -1
        while before < self.cursor:
            before = self.cursor
            finished(self.look())


class _World(World):
    """Its storage is in memory and outlives its nodes."""

    def connect(self) -> Sqlite:
        return self.sqlite or Sqlite()


class Annals:
    """A world, everybody who works on it, and what happened."""

    def __init__(self) -> None:
        self.world = world = _World(Path())
        world.settings = replace(world.settings, log_stop_bytes=1_000, log_min_minutes=0, ring_bytes=1)
        world.open()
        self.index = MemoryIndex()
        self.facts: list[Fact] = []
        self.works: list[tuple[str, Led]] = []
        self.taken_down: set[str] = set()
        self.purging: dict[str, int] = {}
        """Up to which number the events of an account are being purged."""

        self.touched: dict[str, int] = {}
        """Up to which number they may be gone."""

        self.gone: dict[str, int] = {}
        """Up to which number they must be."""

        self.viewers = [Viewer(self, 1)]
        world.live()

    # what happens

    def write(self, accounts: Sequence[int]) -> None:
        """The host emits a commit of each account, and the node flushes."""
        self.world.answer()
        for account in accounts:
            self.world.happen("commit", account)
        self.world.send()
        self.wait(0.1)

    def order(self, action: Action, account: int) -> None:
        """The operator decides; where that is refused, nothing is decided."""
        did = frames.did(account)
        self.heal()
        self.record()
        try:
            carry_out(self.world.node, Order(action, did), self.world.clock.now_us)
        except EdgeRelayError:
            return
        self.record()
        if action is Action.RESTORE:
            self.taken_down.discard(did)
            self.purging.pop(did, None)
            return
        self.taken_down.add(did)
        if action is Action.PURGE:
            self.purging[did] = self.touched[did] = self.facts[-1].seq

    def wait(self, seconds: float) -> None:
        """Time passes; what the platform lets live no longer ends."""
        self.world.wait(seconds)
        self.record()
        expired = [work for work in self.works if work[1].begun_us < self.world.clock.now_us - INVOCATION_US]
        if any(name in OF_RELAY_STATE for name, _ in expired):
            self.crash()
        for work in expired:
            work[1].kill()
        self.tidy()

    def crash(self) -> None:
        """RelayState is killed, and starts again."""
        for name, led in self.works:
            if name in OF_RELAY_STATE:
                led.kill()
        self.heal()
        self.world.open()
        self.tidy()

    def go(self, number: int, effects: int) -> None:
        """Somebody goes on."""
        for _, led in self._one_of(number):
            for _ in range(effects):
                led.go()
        self.tidy()

    def fail(self, number: int) -> None:
        """What somebody calls fails."""
        for _, led in self._one_of(number):
            led.fail()
        self.tidy()

    def kill(self, number: int) -> None:
        """Somebody is killed; what RelayState does is, with all of RelayState."""
        for name, led in self._one_of(number):
            self._kill(name, led)
        self.tidy()

    def _kill(self, name: str, led: Led) -> None:
        if name in OF_RELAY_STATE:
            self.crash()
        led.kill()

    def fill(self, writes: int) -> None:
        """RelayState's storage takes so many writes yet."""
        self.world.sql.writes_left = writes % 5

    def heal(self) -> None:
        """It takes as many as there are."""
        self.world.sql.writes_left = None

    def _one_of(self, number: int) -> list[tuple[str, Led]]:
        return [self.works[number % len(self.works)]] if self.works else []

    def record(self) -> None:
        """Write down what is durable by now."""
        for batch in self.world.node.log.batches_after(self.facts[-1].seq if self.facts else 0):
            self.facts += facts_of(batch)

    # who works

    def begin(self, name: str, number: int = 0) -> Led:
        """One of them begins."""
        node, effects = self.world.node, self.world.effects
        works: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
            "archivist": lambda: node.archivist.run(effects.pause),
            "purger": lambda: node.purger.run(effects.pause),
            "export": lambda: node.hidden_export.run(effects.pause),
            "archiver": lambda: self._archiver(number),
            "compaction": lambda: self._compaction().run(),
            "sweep": self._sweep,
        }
        led = effects.lead(_unless_it_fails(works[name]()), self.world.clock.now_us)
        self.works.append((name, led))
        self.tidy()
        return led

    def strike(self, name: str, effects: int, is_kill: bool) -> None:
        """One of them works, and after so many effects is killed, or what it calls fails."""
        led = self.begin(name, effects)
        for _ in range(effects):
            led.go()
        if not is_kill:
            led.fail()
            led.go_to_end()
        elif led.point:
            self._kill(name, led)
        self.tidy()

    def work(self, name: str, number: int = 0) -> None:
        """One of them works, and nothing fails."""
        self.begin(name, number).go_to_end()
        self.tidy()

    def purge(self, steps: int) -> None:
        """The purger does so many steps, whenever it may."""
        for _ in range(steps):
            self.wait(1 if self.world.node.purger.is_due else PURGE_SETTLE_US / S_US)
            self.work("purger")

    def join(self, number: int) -> None:
        """A reader comes with a cursor at or near an event."""
        near = self.facts[number % len(self.facts)].seq
        self.viewers.append(Viewer(self, near + number % 3 - 1))

    def look(self, number: int) -> None:
        """A reader begins to read, if it does not do so already."""
        viewer = self.viewers[number % len(self.viewers)]
        if not viewer.is_looking:
            looking = _unless_it_fails(viewer.look())
            self.works.append(("reader", self.world.effects.lead(looking, self.world.clock.now_us)))
            self.tidy()

    def tidy(self) -> None:
        """Forget who has ended, and note whose purge has."""
        self.works = [work for work in self.works if work[1].point]
        purges = Purges(self.world.sql)
        for did in [did for did in self.purging if purges.find(did) is None]:
            self.gone[did] = self.purging.pop(did)

    # what must be

    def hides(self) -> HiddenAccounts:
        """Whom replay leaves out, as RelayState tells shards."""
        hidden = HiddenAccounts()
        hidden.take(self.world.node.hidden.changes(0))
        return hidden

    def check_seen(self, got: list[Fact], first: int, end: int) -> None:
        """A reader got what was written from a number on up to another, but for who is hidden or was purged."""
        due = [fact for fact in self.facts if first <= fact.seq < end and not self._is_among(fact, self.taken_down)]
        assert got == [fact for fact in due if fact in got or not self._may_be_gone(fact)]

    def check_hole(self, first: int, last: int) -> None:
        """What is told as missing has outlived its time."""
        assert not [fact for fact in self.facts if first <= fact.seq <= last and hour_of(fact.seq) >= self._oldest_hour]

    def check_gone(self) -> None:
        """What was purged is in no object and in no row."""
        for owner, seq, place in self._owners():
            assert seq > self.gone.get(owner, 0), place

    def check_lines(self) -> None:
        """Each event has its line once, in order, in what readers of lines are given."""
        archive = ArchiveReader(
            self.world.objects,
            lambda block: (block.facts.contents.last_seq, unseal(block, CODECS)),
            Folder.JETSTREAM,
            Folder.JETSTREAM,
        )
        cursor, lines = 1, list[bytes]()
        while (found := finished(archive.find(cursor))) is not None:
            cursor, lines = found[0] + 1, lines + found[1].splitlines()
        line_of = {fact: line.json for fact in self.facts for line in render(fact.frame).lines}
        outlived = {line for fact, line in line_of.items() if hour_of(fact.seq) < self._oldest_hour}
        assert [line for line in lines if line not in outlived] == [
            line
            for fact, line in line_of.items()
            if line not in outlived and (line in lines or not self._may_be_gone(fact))
        ]
        assert not [fact for fact, line in line_of.items() if line in lines and self._is_gone(fact)]

    @property
    def _oldest_hour(self) -> int:
        """Hours before have outlived their time."""
        return (self.world.clock.now_us - RETENTION_US - KEPT_GRACE_US) // HOUR_US

    def _is_gone(self, fact: Fact) -> bool:
        return fact.kind != ACCOUNT and fact.seq <= self.gone.get(fact.did, 0)

    def _may_be_gone(self, fact: Fact) -> bool:
        return fact.kind != ACCOUNT and fact.seq <= self.touched.get(fact.did, 0)

    @staticmethod
    def _is_among(fact: Fact, dids: Collection[str]) -> bool:
        return fact.kind != ACCOUNT and fact.did in dids

    def _names(self, *folders: Folder) -> list[ObjectName]:
        return [name for name in own_names(sorted(self.world.objects.objects)) if name.folder in folders]

    def _owners(self) -> Iterator[tuple[str, int, str]]:
        """Account, number and place of all that is kept, but for what tells a status."""
        objects = self.world.objects
        for name in self._names(Folder.GROUPS, Folder.FIREHOSE, Folder.JETSTREAM):
            index = finished(read_index(objects, name.key))
            for block in finished(read_blocks(objects, name.key, index)):
                is_lines = index.stream is Stream.JETSTREAM
                head = open_lines(block, CODECS).head if is_lines else open_batch(block, CODECS).head
                yield from _owners(head, name.key)
        for (raw,) in self.world.sql.execute("SELECT head FROM log WHERE part = 0"):
            yield from _owners(decode_head(raw), "the hot log")

    # the end

    def end(self) -> None:
        """Whoever works comes to an end, and all is done that is to be done."""
        for _, led in self.works:
            led.go_to_end()
        self.heal()
        self.world.wait(STORAGE_RETRY_US / S_US)
        self.world.settle()
        self.wait(61)
        for _ in range(6):
            self.work("archivist")
            self.wait((HOUR_US + SETTLE_US) / S_US)
            self.work("compaction")
        for _ in range(50):
            self.purge(10 if self.purging else 0)
        assert not self.purging, "it never ends"
        for _ in range(4):
            self.wait(GRACE_US / S_US)
            self.work("compaction")
        finished(reindex(self.world.objects, self._hours(), 0))

    def check(self) -> None:
        """All is as it must be; nobody works any more."""
        assert self.world.sqlite is not None
        self.check_gone()
        self.check_lines()
        assert not [name for name in self._names(Folder.GROUPS) if name.hour >= self._oldest_hour]
        kept = [
            name for folder in (Folder.FIREHOSE, Folder.JETSTREAM) for name in split_covered(self._names(folder))[0]
        ]
        rows = own_names(self.index.entries)
        assert sorted(name for name in rows if name.hour > self._oldest_hour) == sorted(
            name for name in kept if name.hour > self._oldest_hour
        )
        for number in range(0, len(self.facts), 7):
            self.join(number)
        for viewer in self.viewers:
            viewer.look_at_all()
        self.world.sqlite.close()

    async def read_log(self, cursor: int) -> History[Batch]:
        return History(*self.world.node.read(cursor))

    # who works, made anew for each time

    def _objects(self) -> LedObjects:
        return LedObjects(self.world.effects, self.world.objects)

    def _lines(self) -> LineWriter:
        return LineWriter(self._objects(), ZlibCodec(), self.world.effects.pause, render)

    def _compaction(self) -> Compaction:
        return Compaction(
            self._objects(), self._hours(), self._lines(), self.world.log, self.world.clock, SEGMENT_BYTES
        )

    def _hours(self) -> HourIndex:
        index = LedIndex(self.world.effects, self.index)
        return HourIndex(self._objects(), index, self.world.log, self.world.clock, RETENTION_US + KEPT_GRACE_US)

    async def _archiver(self, number: int) -> None:
        messages = self.world.queue.messages
        if messages:
            archiver = Archiver(self._objects(), self._lines(), self.world.log, self.world.clock)
            await archiver.take(Message("1", messages[number % len(messages)], 1))

    async def _sweep(self) -> None:
        index = LedIndex(self.world.effects, self.index)
        await sweep(self._objects(), index, self.world.clock.now_us, RETENTION_US)


def render(frame: bytes) -> Rendering:
    """A line for each commit: the frames of this host have no records."""
    if not frame:
        return Rendering()
    header, body = frames.parts(frame)
    if header["t"] != "#commit":
        return Rendering()
    did, seq, rev = body["repo"], body["seq"], body["rev"]
    json = (
        f'{{"did":"{did}","time_us":{seq},"kind":"commit","commit":{{"rev":"{rev}","operation":"create",'
        f'"collection":"a.b.c","rkey":"{rev}"}}}}'
    )
    return Rendering((Line(seq, LineKind.COMMIT, did, "a.b.c", json.encode()),))


def _owners(head: BatchHead, place: str) -> Iterator[tuple[str, int, str]]:
    for seq, kind, did in zip(head.seqs, head.kinds, head.dids, strict=True):
        if kind != ACCOUNT:
            yield did, seq, place


async def _unless_it_fails(work: Coroutine[Any, Any, object]) -> None:
    """What fails is tried again, by whoever calls."""
    with suppress(EdgeRelayError):
        await work
