"""A group while it is written: blocks of the firehose, one behind the other, as one object.

It does not decide which events are in it; see `cutting`.
"""

from __future__ import annotations

from typing import NamedTuple

from edgerelay.archive.batch import Batch
from edgerelay.archive.codec import Codec
from edgerelay.archive.container import ContainerWriter
from edgerelay.archive.container_index import Stream
from edgerelay.archive.firehose_block import seal_batch
from edgerelay.archive.object_names import Folder, ObjectName

__all__ = ["Group", "GroupWriter"]


class Group(NamedTuple):
    """A whole group."""

    name: ObjectName
    data: bytes


class GroupWriter:
    """Packs blocks as they come."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._container = ContainerWriter(Stream.FIREHOSE)
        self._parts: list[bytes] = []

    def add(self, block: Batch) -> None:
        """Pack a block and write it; it must lie behind the one before."""
        self._parts.append(self._container.add(seal_batch(block, self._codec)))

    def finish(self) -> Group:
        """The group. Raises `InvariantError` if there is no block."""
        end = self._container.finish()
        index = self._container.index()
        name = ObjectName(Folder.GROUPS, index.first_seq, index.last_seq)
        return Group(name, b"".join([*self._parts, end]))
