"""Whether an archive is whole: what objects say of themselves, held against what is in them.

Of each object: its index against its name and its header. Of each block: checksum, lengths and order; that each event
is what the block's columns, filters and collections say. Of each stream: that no block is missing between two; but
references to blobs need not be kept all the time.
Everything is looked at; nothing that is wrong keeps the rest from being looked at.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edgerelay.archive.batch import KINDS
from edgerelay.archive.blob_block import open_references
from edgerelay.archive.block import BlockError, Codecs, Contents, SealedBlock, unseal
from edgerelay.archive.cid_filter import hash_cid
from edgerelay.archive.container import MAX_HEADER_BYTES, read_header
from edgerelay.archive.container_errors import ContainerError
from edgerelay.archive.container_index import ContainerIndex, Stream
from edgerelay.archive.cutting import hour_of
from edgerelay.archive.did_filter import hash_did
from edgerelay.archive.firehose_block import open_batch
from edgerelay.archive.object_names import ObjectName, ObjectNameError
from edgerelay.atproto.cid import cid_from_text
from edgerelay.atproto.messages import Commit
from edgerelay.errors import WireError
from edgerelay.runtime.objects import ObjectMissingError
from edgerelay_dev.operator.catalogue import ArchivedObject, Catalogue, OpenedObject, Problem, problem_of, stream_of
from edgerelay_dev.operator.kept_message import read_message
from edgerelay_dev.operator.timeline import Chain, LocatedBlock, blocks_in_order

__all__ = ["Seen", "Verification", "block_problems", "index_problems"]

PROBLEMS: Final = 5
"""Problems that are named of one block: what is wrong with all its events is wrong once."""


@dataclass
class Seen:
    """How much was looked at; events that lie in two objects count twice."""

    objects: int = 0
    blocks: int = 0
    events: int = 0

    def __str__(self) -> str:
        return f"{self.objects:,} objects, {self.blocks:,} blocks, {self.events:,} events"


class Verification:
    """Looks at all that some objects hold."""

    def __init__(self, catalogue: Catalogue, codecs: Codecs) -> None:
        self._catalogue = catalogue
        self._codecs = codecs
        self.seen = {stream: Seen() for stream in Stream}

    async def run(self, objects: Sequence[ArchivedObject], opened: Callable[[], None] = lambda: None) -> None:
        """Report everything that is wrong. Calls `opened` for each object that is done with.

        Raises:
            ObjectStoreError: the archive does not answer.
        """
        for stream in Stream:
            chain = Chain(stream, self._catalogue.report)
            parts = [each for each in objects if stream_of(each.name) is stream]
            seen: set[str] = set()
            async for block in blocks_in_order(self._catalogue, parts, opened):
                if block.source.key not in seen:
                    seen.add(block.source.key)
                    await self._check_object(block.source)
                if stream is not Stream.BLOBS:
                    chain.take(block.contents)
                await self._check_block(block)

    async def _check_object(self, source: OpenedObject) -> None:
        self.seen[source.index.stream].objects += 1
        try:
            ObjectName.parse(source.key)
        except ObjectNameError as error:
            self._catalogue.report(Problem(source.key, str(error)))
        try:
            beginning = await source.read_beginning(MAX_HEADER_BYTES)
        except ObjectMissingError:
            return  # its blocks will say so
        for problem in index_problems(source.name, source.index, beginning):
            self._catalogue.report(Problem(source.key, problem))

    async def _check_block(self, block: LocatedBlock) -> None:
        seen = self.seen[block.source.index.stream]
        seen.blocks += 1
        seen.events += block.contents.event_count
        try:
            packed = await block.source.read_block(block.number)
        except ObjectMissingError as error:
            self._catalogue.report(problem_of(block.source.key, error))
            return
        for problem in block_problems(block.source.index.stream, packed, self._codecs):
            self._catalogue.report(Problem(block.source.key, f"at {block.placed.offset}: {problem}"))


def index_problems(name: ObjectName, index: ContainerIndex, beginning: bytes) -> Iterator[str]:
    """What an index says that its object's name, header or own blocks do not."""
    if (name.first_seq, name.last_seq, name.generation) != (index.first_seq, index.last_seq, index.generation):
        yield f"it holds {index.first_seq} to {index.last_seq}, generation {index.generation}"
    if hour_of(index.first_seq) != hour_of(index.last_seq):
        yield "it reaches into another hour, where nobody looks for it"
    if stream_of(name) is not index.stream:
        yield f"it holds {index.stream}"
    try:
        if read_header(beginning) != index.header:
            yield "its header and its footer differ"
    except ContainerError as error:
        yield f"its header: {error}"
    if index != ContainerIndex.of(index.stream, index.generation, index.blocks):
        yield "its index and the entries of its blocks differ"


def block_problems(stream: Stream, block: SealedBlock, codecs: Codecs) -> list[str]:
    """What is wrong with a block; `PROBLEMS` at most."""
    try:
        problems = []
        for problem in _CHECKS[stream](block, codecs):
            problems.append(problem)
            if len(problems) == PROBLEMS:
                break
        return problems
    except BlockError as error:
        return [str(error)]


def _firehose_problems(block: SealedBlock, codecs: Codecs) -> Iterator[str]:
    batch = open_batch(block, codecs)
    head = batch.head
    for (seq, frame), kind, did, paths in zip(batch.split(), head.kinds, head.dids, head.paths, strict=True):
        if not (frame or did):
            continue  # purged
        found = _columns(frame)
        if isinstance(found, str):
            yield f"event {seq}: {found}"
        elif found != (seq, kind, did, paths):
            yield f"event {seq}: its frame says {found[0]} {found[1]} {found[2]}"
        yield from _denied(block.facts.contents, f"event {seq}", did, [path.partition("/")[0] for path in paths])


def _columns(frame: bytes) -> tuple[int, str, str, tuple[str, ...]] | str:
    """What a block says of an event beside its frame, out of the frame; or why that cannot be read."""
    try:
        kind, message = read_message(frame)
    except WireError as error:
        return str(error)
    paths = tuple([op.path for op in message.ops]) if isinstance(message, Commit) else ()
    return message.seq, kind, message.did, paths


def _jetstream_problems(block: SealedBlock, codecs: Codecs) -> Iterator[str]:
    contents = block.facts.contents
    raw = unseal(block, codecs)
    if raw and not raw.endswith(b"\n"):
        yield "its last line has no end"
    before, kinds = contents.prev_seq, Counter[str]()
    for line in raw.splitlines():
        try:
            event = json.loads(line)
            time_us, did, kind = int(event["time_us"]), str(event["did"]), str(event["kind"])
            collections = [str(event["commit"]["collection"])] if kind == "commit" else []
        except (KeyError, TypeError, ValueError):
            yield f"behind {before}: a line that is no event"
            continue
        if time_us <= before or time_us < contents.first_seq:
            yield f"line {time_us}: not behind {before}"
        before = time_us
        kinds[f"#{kind}"] += 1
        yield from _denied(contents, f"line {time_us}", did, collections)
    if kinds != Counter(dict(zip(KINDS, contents.counts, strict=False))):
        yield "it holds other lines than its facts say"


def _blob_problems(block: SealedBlock, codecs: Codecs) -> Iterator[str]:
    contents = block.facts.contents
    references = open_references(block, codecs)
    for reference in references:
        what = f"reference {reference.seq}"
        yield from _denied(contents, what, reference.did, [reference.path.partition("/")[0]])
        if contents.cid_filter is not None and not contents.cid_filter.may_contain(
            hash_cid(cid_from_text(reference.cid))
        ):
            yield f"{what}: the CID filter denies {reference.cid}"
    if contents.counts != (len(references),):
        yield "it holds other references than its facts say"


_CHECKS: Final = {
    Stream.FIREHOSE: _firehose_problems,
    Stream.JETSTREAM: _jetstream_problems,
    Stream.BLOBS: _blob_problems,
}


def _denied(contents: Contents, what: str, did: str, collections: Sequence[str]) -> Iterator[str]:
    """What readers that filter would not find."""
    if contents.did_filter is not None and not contents.did_filter.may_contain(hash_did(did)):
        yield f"{what}: the DID filter denies {did}"
    if contents.collections is not None:
        for collection in sorted(set(collections).difference(contents.collections)):
            yield f"{what}: the collections are said to be without {collection}"
