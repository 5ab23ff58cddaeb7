"""The objects of an archive: listed, told apart by generation, and opened one by one.

An object of the archive says by its name what is in it. A file that somebody renamed is asked itself. Whatever cannot
be read is a problem with a name and an end: it is reported, and the others go on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from itertools import takewhile
from typing import Final, NamedTuple

from edgerelay.archive.block import BlockError, Contents, SealedBlock
from edgerelay.archive.container_errors import ContainerError
from edgerelay.archive.container_index import ContainerIndex, PlacedBlock, Stream
from edgerelay.archive.object_names import Folder, ObjectName, ObjectNameError
from edgerelay.runtime.container_objects import open_container, read_index
from edgerelay.runtime.objects import ObjectMissingError, ObjectReader

__all__ = [
    "OPENED_AHEAD",
    "SUFFIX",
    "ArchivedObject",
    "Catalogue",
    "OpenedObject",
    "Problem",
    "newest",
    "problem_of",
    "stream_of",
]

SUFFIX: Final = ".ers"
"""What the names of all containers end with; whatever else is in a bucket is no concern of ours."""

READ_BYTES: Final = 1_000_000
"""Packed blocks that are read in one call, if they follow each other and all may be wanted."""


OPENED_AHEAD: Final = 4
"""Objects that are opened while another is read: an index has some 0.5 MB, and 4 MB at most."""


class Problem(NamedTuple):
    """Something that is wrong with an archive."""

    where: str
    what: str


Report = Callable[[Problem], None]


def problem_of(key: str, error: BlockError | ContainerError | ObjectMissingError) -> Problem:
    """What an error means for the object of this name."""
    match error:
        case ObjectMissingError():
            return Problem(key, "it was taken away while it was read")
        case ContainerError():
            return Problem(key, f"{type(error).__name__.removeprefix('Container').lower()}: {error}")
        case _:
            return Problem(key, str(error))


class ArchivedObject(NamedTuple):
    """An object, as it is listed."""

    key: str
    name: ObjectName
    """What it holds; its own name, unless it is called otherwise."""


class OpenedObject:
    """An object with its index."""

    def __init__(self, objects: ObjectReader, archived: ArchivedObject, index: ContainerIndex, size_bytes: int) -> None:
        self.key, self.name = archived
        self.index = index
        self.size_bytes = size_bytes
        self._objects = objects
        self._packed: dict[int, bytes] = {}

    async def read_beginning(self, length: int) -> bytes:
        """Its first bytes. Raises `ObjectMissingError` if it was taken away."""
        return await self._objects.read(self.key, 0, min(length, self.size_bytes))

    async def read_block(self, number: int, is_wanted: Callable[[Contents], bool] = lambda _: True) -> SealedBlock:
        """A block of the index, unchecked; with it those behind it, as far as they are wanted, for the next calls.

        Raises:
            ObjectMissingError: the object was taken away.
        """
        block = self.index.blocks[number]
        if block.offset not in self._packed:
            await self._read_on(number, is_wanted)
        return SealedBlock(block.facts, self._packed.pop(block.offset))

    async def _read_on(self, number: int, is_wanted: Callable[[Contents], bool]) -> None:
        start = self.index.blocks[number].offset

        def goes_along(block: PlacedBlock) -> bool:
            return block.range.end <= start + READ_BYTES and is_wanted(block.facts.contents)

        run = [self.index.blocks[number], *takewhile(goes_along, self.index.blocks[number + 1 :])]
        data = await self._objects.read(self.key, start, run[-1].range.end - start)
        self._packed = {each.offset: data[each.offset - start : each.range.end - start] for each in run}


class Catalogue:
    """The objects of one archive. All of it may raise `ObjectStoreError`."""

    def __init__(self, objects: ObjectReader, report: Report) -> None:
        self._objects = objects
        self.report = report

    async def list(self) -> list[ArchivedObject]:
        """All objects that can be read, in the order of their first numbers."""
        found, after = [], ""
        while keys := await self._objects.names("", after):
            found += [await self._identify(key) for key in keys if key.endswith(SUFFIX)]
            after = keys[-1]
        known = [each for each in found if each is not None]
        return sorted(known, key=lambda each: (each.name.first_seq, each.key))

    async def open(self, archived: ArchivedObject) -> OpenedObject | None:
        """Read the index of an object; None if that cannot be done, which is reported."""
        try:
            index, size_bytes = await open_container(self._objects, archived.key)
        except (ContainerError, ObjectMissingError) as error:
            self.report(problem_of(archived.key, error))
            return None
        return OpenedObject(self._objects, archived, index, size_bytes)

    async def open_all(self, objects: Iterable[ArchivedObject]) -> AsyncGenerator[OpenedObject | None, None]:
        """Open objects one after the other, with the next ones on their way: a bucket far away takes its time."""
        ahead: deque[asyncio.Task[OpenedObject | None]] = deque()
        try:
            for archived in objects:
                ahead.append(asyncio.create_task(self.open(archived)))
                if len(ahead) > OPENED_AHEAD:
                    yield await ahead.popleft()
            while ahead:
                yield await ahead.popleft()
        finally:
            for task in ahead:
                task.cancel()

    async def _identify(self, key: str) -> ArchivedObject | None:
        try:
            return ArchivedObject(key, ObjectName.parse(key))
        except ObjectNameError:
            pass
        try:
            index = await read_index(self._objects, key)
        except (ContainerError, ObjectMissingError) as error:
            self.report(problem_of(key, error))
            return None
        return ArchivedObject(key, ObjectName(Folder(index.stream), index.first_seq, index.last_seq, index.generation))


def stream_of(name: ObjectName) -> Stream:
    """The stream that an object of this name holds a part of."""
    return Stream.FIREHOSE if name.folder is Folder.GROUPS else Stream(name.folder)


def newest(objects: Iterable[ArchivedObject]) -> list[ArchivedObject]:
    """The same without those of which there is a newer generation."""
    generations: dict[tuple[Folder, int, int], ArchivedObject] = {}
    for each in objects:
        named = each.name[:3]
        if named not in generations or generations[named].name.generation < each.name.generation:
            generations[named] = each
    return list(generations.values())
