"""Small archives for tests: events that are real frames, cut into blocks and objects in any way."""

from __future__ import annotations

from collections.abc import Sequence

from edgerelay.archive.batch import BatchBuilder
from edgerelay.archive.block import SealedBlock
from edgerelay.archive.firehose_block import seal_batch
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.runtime.memory import MemoryObjects
from edgerelay_dev.operator.catalogue import Catalogue, Problem
from edgerelay_dev.operator.selection import Selection
from edgerelay_dev.operator.timeline import ArchivedEvent, Counts, Timeline
from tests.coroutines import finished
from tests.oracle import frames
from tests.packing import CODECS, HOUR_US, PLAIN, container_of

__all__ = ["COLLECTIONS", "DIDS", "TID", "Archive", "an_event", "block_of", "history"]

DIDS = [frames.did(number) for number in range(1, 7)]
COLLECTIONS = ["app.bsky.feed.like", "app.bsky.feed.post", "app.bsky.graph.block"]
EVERYTHING = Selection()
TID = frames.tid(2**60)


def an_event(seq: int, did: str, *collections: str) -> ArchivedEvent:
    """A commit that writes to these collections; an `#account` if there are none."""
    if not collections:
        return ArchivedEvent(seq, "#account", did, (), frames.account(seq, did))
    paths = tuple([f"{collection}/{TID}" for collection in collections])
    return ArchivedEvent(seq, "#commit", did, paths, frames.commit(seq, did, TID, paths=paths, since=TID))


def history(count: int, step_us: int = 10) -> list[ArchivedEvent]:
    """Events of all accounts and collections, one after the other."""
    events = []
    for number in range(1, count + 1):
        collections = [COLLECTIONS[number % 3]] if number % 7 else []
        events.append(an_event(HOUR_US + number * step_us, DIDS[number % len(DIDS)], *collections))
    return events


def block_of(events: Sequence[ArchivedEvent], prev_seq: int, generation: int = 0) -> SealedBlock:
    """A block of the firehose."""
    builder = BatchBuilder(prev_seq)
    for each in events:
        builder.add(each.seq, each.kind, each.did, each.paths, each.frame)
    return seal_batch(builder.build([], b""), PLAIN, generation)


class Archive:
    """A bucket that is filled by hand, and what its readers complain of."""

    def __init__(self) -> None:
        self.objects = MemoryObjects()
        self.problems: list[Problem] = []
        self.catalogue = Catalogue(self.objects, self.problems.append)

    def put(self, *blocks: SealedBlock, folder: Folder = Folder.GROUPS, generation: int = 0, key: str = "") -> str:
        """Store an object of these blocks; returns its name."""
        first, last = blocks[0].facts.contents, blocks[-1].facts.contents
        name = key or ObjectName(folder, first.first_seq, last.last_seq, generation).key
        self.objects.objects[name] = container_of(blocks, generation=generation)
        return name

    def put_history(self, events: Sequence[ArchivedEvent], block_events: int, object_blocks: int) -> list[str]:
        """Store all of a history as groups; returns their names."""
        blocks = []
        for start in range(0, len(events), block_events):
            prev_seq = events[start - 1].seq if start else HOUR_US
            blocks.append(block_of(events[start : start + block_events], prev_seq))
        return [self.put(*blocks[start : start + object_blocks]) for start in range(0, len(blocks), object_blocks)]

    def read(self, selection: Selection = EVERYTHING) -> tuple[list[ArchivedEvent], Counts]:
        """What a timeline gives."""
        timeline = Timeline(self.catalogue, selection, CODECS)
        return finished(self._read(timeline)), timeline.counts

    async def _read(self, timeline: Timeline) -> list[ArchivedEvent]:
        inside = timeline.inside(await self.catalogue.list())
        return [event async for event in timeline.events(inside)]
