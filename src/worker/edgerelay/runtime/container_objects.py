"""Containers in the bucket: their indexes and their blocks, by ranges of bytes.

What the bytes mean is `archive.container`'s; what was read lately is kept by whoever reads again (`archive_reader`).
"""

from __future__ import annotations

from collections.abc import Iterator

from edgerelay.archive.block import SealedBlock
from edgerelay.archive.container import TAIL_BYTES, ContainerOpening
from edgerelay.archive.container_errors import ContainerCorrupt
from edgerelay.archive.container_index import ContainerIndex, PlacedBlock
from edgerelay.archive.object_names import ObjectName
from edgerelay.runtime.objects import ObjectReader

__all__ = ["open_container", "open_named", "read_block", "read_blocks", "read_index"]


async def open_container(objects: ObjectReader, key: str) -> tuple[ContainerIndex, int]:
    """The index of a container, and the bytes of the whole object.

    Raises:
        ObjectStoreError: the bucket does not answer, or has no such object.
        ContainerError: one of its kinds says why there is no index.
    """
    tail = await objects.read_tail(key, TAIL_BYTES)
    opening = ContainerOpening(tail.size_bytes)
    opening.take(tail.data)
    while opening.wanted is not None:
        opening.take(await objects.read(key, *opening.wanted))
    return opening.index, tail.size_bytes


async def read_index(objects: ObjectReader, key: str) -> ContainerIndex:
    """The index alone; raises what `open_container` does."""
    return (await open_container(objects, key))[0]


async def open_named(objects: ObjectReader, name: ObjectName) -> tuple[ContainerIndex, int]:
    """The same, of an object that must hold what its name says.

    Raises:
        ObjectStoreError: the bucket does not answer, or has no such object.
        ContainerError: one of its kinds says why there is no index, or that it is another one.
    """
    index, size_bytes = await open_container(objects, name.key)
    if (index.first_seq, index.last_seq) != (name.first_seq, name.last_seq):
        raise ContainerCorrupt(f"{name.key} holds {index.first_seq} to {index.last_seq}")
    return index, size_bytes


async def read_block(objects: ObjectReader, key: str, block: PlacedBlock) -> SealedBlock:
    """One block, packed as it is; whether it is damaged is seen when it is opened.

    Raises:
        ObjectStoreError: the bucket does not answer, or has no such object.
    """
    return SealedBlock(block.facts, await objects.read(key, *block.range))


async def read_blocks(objects: ObjectReader, key: str, index: ContainerIndex) -> Iterator[SealedBlock]:
    """All blocks of a group, or of another object of a few megabytes: it is read at once.

    Raises:
        ObjectStoreError: the bucket does not answer, or has no such object.
    """
    start = index.blocks[0].offset
    data = await objects.read(key, start, index.blocks[-1].range.end - start)
    return (SealedBlock(block.facts, data[block.offset - start : block.range.end - start]) for block in index.blocks)
