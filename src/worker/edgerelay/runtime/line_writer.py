"""Writes the Jetstream lines of a group beside it, as an object of the same range, so that readers need not render."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from edgerelay.archive.codec import Codec
from edgerelay.archive.container import ContainerWriter
from edgerelay.archive.container_index import Stream
from edgerelay.archive.firehose_block import open_batch
from edgerelay.archive.jetstream import Rendering, render
from edgerelay.archive.jetstream_block import seal_lines
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.runtime.container_objects import open_named, read_blocks
from edgerelay.runtime.objects import ObjectStore

__all__ = ["LineWriter"]


class LineWriter:
    """Renders groups."""

    def __init__(
        self,
        objects: ObjectStore,
        codec: Codec,
        pause: Callable[[], Awaitable[None]],
        render_frame: Callable[[bytes], Rendering] = render,
    ) -> None:
        """`pause` is awaited between two blocks, so that nothing else in the isolate is kept waiting."""
        self._objects = objects
        self._codec = codec
        self._pause = pause
        self._render_frame = render_frame

    async def write(self, group: ObjectName) -> ObjectName:
        """Store the lines of a group, unless they are there; returns the object's name.

        Raises:
            InvariantError: the group cannot be read or rendered, and trying again will not help.
            ObjectStoreError: the bucket does not answer.
        """
        index, _ = await open_named(self._objects, group)
        writer, parts = ContainerWriter(Stream.JETSTREAM, group.generation), list[bytes]()
        for block in await read_blocks(self._objects, group.key, index):
            positions, generation = block.facts.contents.positions, block.facts.generation
            batch = open_batch(block, {self._codec.id: self._codec})
            for sealed in seal_lines(batch, positions, self._codec, generation, self._render_frame):
                parts.append(writer.add(sealed))
            await self._pause()
        name = group._replace(folder=Folder.JETSTREAM)
        await self._objects.put(name.key, b"".join([*parts, writer.finish()]))
        return name
