"""The end of the archive, read backwards: its newest names, and their blocks from the newest on.

Names sort by time, and a bucket lists them forwards only, so the newest hour is found by halving the time. Segments and
groups may hold the same events while one takes the other's place; each is met once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Final

from edgerelay.archive.batch import Batch
from edgerelay.archive.block import MAX_SEQ, BlockError, Codecs
from edgerelay.archive.container_errors import ContainerError
from edgerelay.archive.cutting import HOUR_US, hour_of
from edgerelay.archive.firehose_block import open_batch
from edgerelay.archive.object_names import Folder, ObjectName, hour_prefix, own_names
from edgerelay.errors import InvariantError
from edgerelay.runtime.container_objects import read_block, read_index
from edgerelay.runtime.objects import ObjectStore
from edgerelay.runtime.ports import LogSink

__all__ = ["END_HOURS", "is_overtaken", "newest_blocks", "newest_names"]

END_HOURS: Final = 2
"""Hours with names that count as the end, in each folder: the newest may have begun just now."""

PROBED_NAMES: Final = 10
"""Names that are listed to find the first of ours."""

_FOLDERS: Final = (Folder.FIREHOSE, Folder.GROUPS)
_END_HOUR: Final = hour_of(MAX_SEQ) + 1


async def newest_names(objects: ObjectStore) -> list[ObjectName]:
    """The names of the newest hours, the newest first; none if the archive is empty.

    Raises:
        ObjectStoreError: the bucket does not answer.
    """
    names: list[ObjectName] = []
    for folder in _FOLDERS:
        before = _END_HOUR
        for _ in range(END_HOURS):
            hour = await _last_hour(objects, folder, before)
            if hour is None:
                break
            names += await _names_of(objects, hour_prefix(folder, hour * HOUR_US))
            before = hour
    return sorted(names, key=lambda name: (name.last_seq, name.generation), reverse=True)


async def is_overtaken(objects: ObjectStore, archived_seq: int, last_seq: int) -> bool:
    """Whether the archive goes on behind the newest event that is stored, as it does if that is an old copy.

    Args:
        archived_seq: everything up to this number is known to be in the archive.

    Raises:
        ObjectStoreError: the bucket does not answer.
    """
    for folder in _FOLDERS:
        # From the hour's first name on: a segment of its groups begins before, and they may be taken away.
        after = hour_prefix(folder, archived_seq)
        while listed := await objects.names(f"{folder}/", after):
            if any(name.last_seq > last_seq for name in own_names(listed)):
                return True
            after = listed[-1]
    return False


async def newest_blocks(
    objects: ObjectStore, names: Sequence[ObjectName], codecs: Codecs, sink: LogSink
) -> AsyncGenerator[Batch, None]:
    """The blocks of some objects, the newest first; what is damaged is written to the log and left out.

    Args:
        names: the newest first.

    Raises:
        ObjectStoreError: the bucket does not answer, or an object was taken away since it was listed.
    """
    floor = MAX_SEQ + 1
    for name in names:
        if name.first_seq >= floor:
            continue
        try:
            index = await read_index(objects, name.key)
        except ContainerError as error:
            _tell_damage(sink, name, error)
            continue
        for block in reversed(index.blocks):
            contents = block.facts.contents
            if contents.last_seq >= floor:
                continue
            floor = contents.first_seq
            packed = await read_block(objects, name.key, block)
            try:
                yield open_batch(packed, codecs)
            except BlockError as error:
                _tell_damage(sink, name, error)


def _tell_damage(sink: LogSink, name: ObjectName, error: InvariantError) -> None:
    sink.write("error", "archive_damaged", {"problem": f"{name.key}: {error}", "last_seq": name.last_seq})


async def _names_of(objects: ObjectStore, prefix: str) -> list[ObjectName]:
    names: list[ObjectName] = []
    after = ""
    while listed := await objects.names(prefix, after):
        names, after = [*names, *own_names(listed)], listed[-1]
    return names


async def _last_hour(objects: ObjectStore, folder: Folder, before: int) -> int | None:
    """The newest hour with names of ours that is older than `before`."""
    first = await _first_hour(objects, folder, 0)
    if first is None or first >= before:
        return None
    low, high = first, before  # there are names at `low`, and none from `high` on
    while high - low > 1:
        middle = (low + high) // 2
        found = await _first_hour(objects, folder, middle)
        if found is None or found >= before:
            high = middle
        else:
            low = found
    return low


async def _first_hour(objects: ObjectStore, folder: Folder, hour: int) -> int | None:
    """The first hour with names of ours that is not older than this one."""
    after = hour_prefix(folder, hour * HOUR_US)
    while listed := await objects.names(f"{folder}/", after, PROBED_NAMES):
        if found := own_names(listed):
            return hour_of(found[0].first_seq)
        after = listed[-1]
    return None
