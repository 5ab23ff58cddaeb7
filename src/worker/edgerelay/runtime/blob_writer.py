"""Writes the references to blobs that are in a segment of lines beside it, as an object of the same range.

So the references of an hour lie packed beside its segments, and can be made anew from them. Segments too large to be
held are read piece by piece; what has no room in one container goes into another.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from edgerelay.archive.blob_block import BlobBlockWriter
from edgerelay.archive.blobs import BlobReference, find_blobs
from edgerelay.archive.block import SealedBlock, unseal
from edgerelay.archive.codec import Codec
from edgerelay.archive.container import ContainerWriter
from edgerelay.archive.container_index import ContainerIndex, PlacedBlock, Stream
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.errors import EdgeRelayError
from edgerelay.runtime.container_objects import open_named
from edgerelay.runtime.objects import ObjectStore
from edgerelay.runtime.ports import LogSink

__all__ = ["HOSTS_AT_ONCE", "READ_BYTES", "BlobWriter", "HostsOf", "HostsUnknownError"]

READ_BYTES: Final = 1_000_000
"""Packed blocks that are read in one call: some twenty of the whole network's."""

HOSTS_AT_ONCE: Final = 100
"""Accounts whose hosts are asked for in one call: RelayState answers in some 10 ms, in which nothing else goes on."""

HostsOf = Callable[[Sequence[str]], Awaitable[Sequence[str]]]
"""The hosts of some accounts as origins, in order; empty where one is not known. May raise `HostsUnknownError`."""


class HostsUnknownError(EdgeRelayError):
    """RelayState did not say which hosts some accounts have; it is asked again later."""


class BlobWriter:
    """Collects references."""

    def __init__(
        self,
        objects: ObjectStore,
        codec: Codec,
        hosts_of: HostsOf,
        sink: LogSink,
        pause: Callable[[], Awaitable[None]],
    ) -> None:
        """`pause` is awaited between two reads, so that nothing else in the isolate is kept waiting."""
        self._objects = objects
        self._codec = codec
        self._hosts_of = hosts_of
        self._sink = sink
        self._pause = pause

    async def write(self, lines: ObjectName) -> list[ObjectName]:
        """Store the references in a segment of lines, unless they are there; returns the names of the objects.

        Raises:
            HostsUnknownError: nobody says which hosts the accounts have.
            InvariantError: the segment is damaged.
            ObjectStoreError: the bucket does not answer.
        """
        index, _ = await open_named(self._objects, lines)
        names: list[ObjectName] = []
        container, parts = self._container(index), list[bytes]()
        async for block in self._blocks_of(lines, index):
            if not container.has_room(block.facts):
                names.append(await self._store(container, parts))
                container, parts = self._container(index), []
            parts.append(container.add(block))
        return [*names, await self._store(container, parts)]

    def _container(self, lines: ContainerIndex) -> ContainerWriter:
        return ContainerWriter(Stream.BLOBS, lines.generation)

    async def _store(self, container: ContainerWriter, parts: Sequence[bytes]) -> ObjectName:
        index, end = container.index(), container.finish()
        name = ObjectName(Folder.BLOBS, index.first_seq, index.last_seq, index.generation)
        await self._objects.put(name.key, b"".join([*parts, end]))
        return name

    async def _blocks_of(self, lines: ObjectName, index: ContainerIndex) -> AsyncIterator[SealedBlock]:
        """The blocks of references, in order."""
        writer = BlobBlockWriter(self._codec)
        for run in _runs(index.blocks):
            start = run[0].offset
            data = await self._objects.read(lines.key, start, run[-1].range.end - start)
            for facts, packed in ((each.facts, data[each.offset - start : each.range.end - start]) for each in run):
                found = find_blobs(unseal(SealedBlock(facts, packed), {self._codec.id: self._codec}))
                for block in writer.add(facts.contents, await self._with_hosts(found)):
                    yield block
            await self._pause()
        for block in writer.finish():
            yield block
        if writer.left_out:
            self._sink.write("warning", "blobs_left_out", {"object": lines.key, "count": writer.left_out})

    async def _with_hosts(self, references: Sequence[BlobReference]) -> list[BlobReference]:
        dids = list(dict.fromkeys(reference.did for reference in references))
        hosts: dict[str, str] = {}
        for start in range(0, len(dids), HOSTS_AT_ONCE):
            some = dids[start : start + HOSTS_AT_ONCE]
            hosts.update(zip(some, await self._hosts_of(some), strict=True))
        return [reference._replace(host=hosts[reference.did]) for reference in references]


def _runs(blocks: Sequence[PlacedBlock]) -> list[list[PlacedBlock]]:
    """Blocks that are read together: one at least, and as many as one call may read."""
    runs: list[list[PlacedBlock]] = []
    for block in blocks:
        if runs and block.range.end - runs[-1][0].offset <= READ_BYTES:
            runs[-1].append(block)
        else:
            runs.append([block])
    return runs
