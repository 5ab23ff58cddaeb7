"""Finds references to blobs in the archive: of an account, to a blob, or both; the newest hours first.

Objects and blocks are passed over by their filters. A look-up is bounded, and says where to go on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from edgerelay.archive.blob_block import open_references
from edgerelay.archive.blobs import BlobReference
from edgerelay.archive.block import BlockError, Codecs
from edgerelay.archive.cid_filter import CidFilter, hash_cid
from edgerelay.archive.container_errors import ContainerError
from edgerelay.archive.cutting import HOUR_US
from edgerelay.archive.did_filter import DidFilter, hash_did
from edgerelay.archive.object_names import Folder, ObjectName, hour_prefix, own_names
from edgerelay.atproto.cid import cid_from_text
from edgerelay.runtime.container_objects import read_block, read_index
from edgerelay.runtime.objects import ObjectReader

__all__ = ["LOOKUP_BLOCKS", "LOOKUP_OBJECTS", "BlobLookup", "Found", "Wanted"]

LOOKUP_OBJECTS: Final = 24
"""Objects whose filters are read in one look-up: a day of a relay that has one in an hour; those of the whole network
have an index of a megabyte."""

LOOKUP_BLOCKS: Final = 48
"""Blocks that are read in one look-up: an account that posts every minute is in two of each hour."""

_DAY_US: Final = 24 * HOUR_US


class Wanted(NamedTuple):
    """What is looked for: at least one of both."""

    did: str = ""
    cid: str = ""

    def may_be_in(self, did_filter: DidFilter | None, cid_filter: CidFilter | None) -> bool:
        """Whether filters allow it; False is certain."""
        has_did = not self.did or did_filter is None or did_filter.may_contain(hash_did(self.did))
        return has_did and (
            not self.cid or cid_filter is None or cid_filter.may_contain(hash_cid(cid_from_text(self.cid)))
        )


class Found(NamedTuple):
    """What was found, the newest first."""

    references: list[BlobReference]
    damaged: list[str]
    """Names of objects that could not be read."""

    before_seq: int
    """The number before which to look on; 0 if that was all."""


class BlobLookup:
    """Looks into the archive, once."""

    def __init__(self, objects: ObjectReader, codecs: Codecs, wanted: Wanted) -> None:
        self._objects = objects
        self._codecs = codecs
        self._wanted = wanted
        self._blocks_left = LOOKUP_BLOCKS
        self._references: dict[BlobReference, None] = {}
        self._damaged: list[str] = []

    async def find(self, before_seq: int, oldest_seq: int) -> Found:
        """References in blocks that end before `before_seq`, back to `oldest_seq`.

        Raises:
            ObjectStoreError: the bucket does not answer.
        """
        objects_left, look_on = LOOKUP_OBJECTS, 0
        async for name in self._names(before_seq, oldest_seq):
            if not objects_left:
                look_on = name.last_seq + 1
                break
            objects_left -= 1
            try:
                look_on = await self._search(name, before_seq)
            except (BlockError, ContainerError):
                self._damaged.append(name.key)
            if look_on:
                break
        return Found(list(self._references), self._damaged, look_on)

    async def _search(self, name: ObjectName, before_seq: int) -> int:
        """Look through an object; returns where to look on if there is more in it than may be read."""
        index = await read_index(self._objects, name.key)
        if not self._wanted.may_be_in(index.did_filter, index.cid_filter):
            return 0
        for block in reversed(index.blocks):
            contents = block.facts.contents
            may_be_there = self._wanted.may_be_in(contents.did_filter, contents.cid_filter)
            if contents.last_seq < before_seq and may_be_there:
                if not self._blocks_left:
                    return contents.last_seq + 1
                self._blocks_left -= 1
                packed = await read_block(self._objects, name.key, block)
                found = open_references(packed, self._codecs, *self._wanted)
                self._references.update(dict.fromkeys(reversed(found)))
        return 0

    async def _names(self, before_seq: int, oldest_seq: int) -> AsyncIterator[ObjectName]:
        """Objects that begin before a number, the newest first, as far as another number."""
        for day in range(before_seq // _DAY_US, oldest_seq // _DAY_US - 1, -1):
            hour = hour_prefix(Folder.BLOBS, day * _DAY_US)
            names = own_names(await self._objects.names(f"{hour.rsplit('/', 2)[0]}/"))
            for name in sorted(names, key=_newest_first):
                if name.first_seq < before_seq and name.last_seq >= oldest_seq:
                    yield name


def _newest_first(name: ObjectName) -> tuple[int, int]:
    return -name.last_seq, name.first_seq
