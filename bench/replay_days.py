"""Measure replay out of 62 days on the offline runtime, for `replay.py --days`: the first event at cursors anywhere,
memory while the hour of 256 MB is replayed, and what is rare out of all of it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from random import Random
from typing import NamedTuple

from days import RARE_COLLECTION, RARE_EVENTS, Days, days
from heap import measure_heap
from ingest import memory
from relay_runs import LIMIT_S, cpu_s, wait_for_state
from subscribers import Subscribers
from table import heading, load, row, spread, target

from edgerelay.archive.batch import KINDS
from edgerelay.archive.container_index import ContainerIndex, Stream
from edgerelay.archive.cutting import hour_of
from edgerelay.relay.filters import Filter
from edgerelay.runtime.container_objects import read_index
from edgerelay.runtime.hour_index import names_below
from edgerelay_dev.network import FrameReader
from edgerelay_dev.network.reader import SUBSCRIBE
from edgerelay_dev.offline.workerd import RelayProcess
from edgerelay_dev.operator.simulator_objects import SimulatorObjects

__all__ = ["TARGET_FIRST_MS", "first_event_ms", "measure_days"]

CURSORS = 150
"""Readers that begin anywhere, one after the other, each twice."""

SNAPSHOTS = 4
"""Of the heap, while an hour is replayed: the reader waits meanwhile, and its socket is full."""

SCAN_LIMIT_S = 600.0
"""For going through all hours."""

ADDRESSES = 250
JETSTREAM = "/subscribe"
TARGET_FIRST_MS = 300


class Wanted(NamedTuple):
    """What a reader with a filter asks for."""

    name: str
    stream: Stream
    query: str
    filter: Filter


class Scan(NamedTuple):
    """What a filter makes of the whole archive."""

    read: int
    """Blocks that may hold something that passes."""

    skipped: int
    messages: int


def first_event_ms(relay: RelayProcess, cursor: int, address: int = 0) -> float:
    """Milliseconds from the request to the first event. The address is the client's, as a number."""
    started = time.monotonic()
    headers = {"CF-Connecting-IP": f"192.0.2.{address}"}
    with FrameReader(relay.worker_url, cursor, timeout_s=LIMIT_S, headers=headers) as reader:
        reader.read()
    return (time.monotonic() - started) * 1_000


def measure_first(relay: RelayProcess, where: str, first_seq: int, last_seq: int) -> None:
    """The first event at cursors that nobody has read near, and at each of them once more."""
    random = Random(where)
    waits_ms: dict[str, list[float]] = {"cold": [], "again": []}
    for _ in range(CURSORS):
        cursor = random.randrange(first_seq, last_seq)
        for each in waits_ms.values():
            each.append(first_event_ms(relay, cursor, random.randrange(ADDRESSES)))
    for what, each in waits_ms.items():
        low, high = spread(each)
        goal = target(high <= TARGET_FIRST_MS, f"<= {TARGET_FIRST_MS}")
        row(f"first event in {where}, {what}", f"p50 {low:.0f} ms, p99 {high:.0f} ms", goal)


def measure_large_hour(relay: RelayProcess, path: str, cursor: int, messages: int) -> None:
    """The whole hour as fast as it comes, and once more with looks at the memory."""
    url = f"{relay.worker_url}{path}?cursor={cursor}"
    with Subscribers(url, 1) as reader:
        seconds = reader.read_until(messages, LIMIT_S)
    row("large hour", f"{messages / seconds:,.0f} messages/s", path)
    row("  memory after", *memory(measure_heap(relay.inspector_port)))
    with Subscribers(url, 1) as reader:
        for part in range(1, SNAPSHOTS + 1):
            reader.read_until(messages * part // SNAPSHOTS, LIMIT_S)
            row(f"  memory at {part}/{SNAPSHOTS}, once more", *memory(measure_heap(relay.inspector_port)))
    row("  memory after", *memory(measure_heap(relay.inspector_port)))


def measure_rare(relay: RelayProcess, wanted: Wanted, scan: Scan, cursor: int) -> None:
    """Everything that a filter wants of the whole archive."""
    path = SUBSCRIBE if wanted.stream is Stream.FIREHOSE else JETSTREAM
    before_s, started = cpu_s(relay.worker_pid), time.monotonic()
    with Subscribers(f"{relay.worker_url}{path}?cursor={cursor}&{wanted.query}", 1) as reader:
        reader.read_until(scan.messages, SCAN_LIMIT_S)
        if reader.messages != [scan.messages]:
            raise AssertionError(f"{scan.messages} messages became {reader.messages}")
    seconds, used_s = time.monotonic() - started, cpu_s(relay.worker_pid) - before_s
    blocks = f"blocks: {scan.read:,} read, {scan.skipped:,} skipped"
    row(wanted.name, f"{seconds:.1f} s", f"{used_s:.1f} s of CPU", f"{scan.messages:,} messages", blocks)


def rarities(did: str) -> list[Wanted]:
    accounts, collections = Filter(dids=frozenset([did])), Filter(collections=frozenset([RARE_COLLECTION]))
    commits = collections._replace(kinds=frozenset(KINDS[:1]))
    return [
        Wanted("one account, firehose", Stream.FIREHOSE, f"dids={did}", accounts),
        Wanted("one account, Jetstream", Stream.JETSTREAM, f"wantedDids={did}", accounts),
        Wanted("a rare collection, firehose", Stream.FIREHOSE, f"collections={RARE_COLLECTION}&kinds=commit", commits),
        Wanted("the same, Jetstream", Stream.JETSTREAM, f"wantedCollections={RARE_COLLECTION}", collections),
    ]


def scan_of(wanted: Wanted, indexes: list[ContainerIndex]) -> Scan:
    may_match = wanted.filter.may_match()
    assert may_match is not None
    contents = [block.facts.contents for index in indexes for block in index.blocks]
    read = sum(map(may_match, contents))
    # Whoever asks for collections gets what is no commit, too.
    is_open = wanted.filter.names_collections and not wanted.filter.kinds
    others = sum(each.event_count - each.counts[0] for each in contents) if is_open else 0
    return Scan(read, len(contents) - read, RARE_EVENTS + others)


def read_indexes(folder: Path) -> dict[Stream, list[ContainerIndex]]:
    """The indexes of all segments, in order."""

    async def read(objects: SimulatorObjects, stream: Stream) -> list[ContainerIndex]:
        return [await read_index(objects, key) for key in await names_below(objects, f"{stream}/")]

    with SimulatorObjects(folder) as objects:
        return {stream: asyncio.run(read(objects, stream)) for stream in (Stream.FIREHOSE, Stream.JETSTREAM)}


def count_messages(indexes: list[ContainerIndex], hour: int) -> int:
    contents = [block.facts.contents for index in indexes if hour_of(index.first_seq) == hour for block in index.blocks]
    return sum(each.event_count for each in contents)


def describe(archive: Days, indexes: dict[Stream, list[ContainerIndex]]) -> None:
    large_hour = hour_of(archive.large_seq)
    for stream, found in indexes.items():
        blocks = [block for index in found for block in index.blocks]
        size = f"{sum(block.facts.packed_bytes for block in blocks) / 1e6:,.0f} MB packed"
        large = f"{count_messages(found, large_hour):,} events or lines in the large hour"
        row(f"{stream}", f"{len(found):,} segments", f"{len(blocks):,} blocks", size, large)


def measure_days() -> None:
    started = time.monotonic()
    archive = days()
    indexes = read_indexes(archive.folder)
    print(f"{heading()}\n")
    describe(archive, indexes)
    settings = {"REHEARSAL_CLOCK_S": str(archive.clock_s), "ADDRESS_REPLAYS": "1000", "LOG_LEVEL": "warning"}
    with tempfile.TemporaryDirectory() as folder:
        archive.copy_to(Path(folder))
        with RelayProcess(Path(folder), vars=settings) as relay:
            last_seq = indexes[Stream.FIREHOSE][-1].last_seq
            wait_for_state(relay, lambda state: state["archive"]["archived_seq"] >= last_seq)
            measure(relay, archive, indexes)
    print(f"\n{time.monotonic() - started:.0f} s; {load()}")


def measure(relay: RelayProcess, archive: Days, indexes: dict[Stream, list[ContainerIndex]]) -> None:
    large_hour = hour_of(archive.large_seq)
    row("first event after the start", f"{first_event_ms(relay, archive.first_seq):.0f} ms")
    row("memory", *memory(measure_heap(relay.inspector_port)))
    measure_first(relay, "any hour", archive.first_seq, archive.last_seq)
    large_end = max(index.last_seq for index in indexes[Stream.FIREHOSE] if hour_of(index.first_seq) == large_hour)
    measure_first(relay, "the large hour", archive.large_seq, large_end)
    row("memory", *memory(measure_heap(relay.inspector_port)))
    for path, stream in ((SUBSCRIBE, Stream.FIREHOSE), (JETSTREAM, Stream.JETSTREAM)):
        measure_large_hour(relay, path, archive.large_seq, count_messages(indexes[stream], large_hour))
    for wanted in rarities(archive.rare_did):
        measure_rare(relay, wanted, scan_of(wanted, indexes[wanted.stream]), archive.first_seq)
    row("memory after", *memory(measure_heap(relay.inspector_port)))
