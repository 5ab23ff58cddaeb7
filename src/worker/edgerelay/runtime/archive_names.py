"""The names of the archive's objects, as far as readers have asked for them: an hour is listed once and kept.

A list is right when it is made. Later, objects may have been joined and taken away, so whoever finds something missing
forgets all lists and looks again before he believes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edgerelay.archive.cutting import HOUR_US, hour_of
from edgerelay.archive.object_names import Folder, ObjectName, hour_prefix, own_names
from edgerelay.runtime.objects import MAX_LISTED, ObjectReader
from edgerelay.runtime.recent import Recent

__all__ = ["ArchiveNames"]

RECENT_HOURS: Final = 24
"""Hours whose names are kept, and as many used before them: at the rate of the whole network an hour has 1,400 groups,
some 0.2 MB, and 80 segments when they are joined."""

LATER_NAMES: Final = 10
"""Names that are listed to find one of a later hour: the first, unless it is not ours."""


class ArchiveNames:
    """What lies in some folders, by hours. All of it may raise `ObjectStoreError`."""

    def __init__(self, objects: ObjectReader, segments: Folder, growing: Folder) -> None:
        """`growing` is where new objects come up behind the others; those of `segments` come later in their place."""
        self._objects = objects
        self._segments = segments
        self._growing = growing
        self._known: Recent[tuple[Folder, int], list[ObjectName]] = Recent(2 * RECENT_HOURS)

    async def segments_near(self, cursor: int) -> Sequence[ObjectName]:
        """The segments of the cursor's hour or, if none reaches the cursor, of the next hour."""
        names = await self._segments_of(hour_of(cursor))
        if names and names[-1].last_seq >= cursor:
            return names
        return await self._segments_of(hour_of(cursor) + 1)

    async def near(self, cursor: int) -> Sequence[ObjectName]:
        """What the cursor's hour has or, if nothing there reaches the cursor, a later one."""
        names = await self._all_near(cursor)
        if not any(name.last_seq >= cursor for name in names):
            later = await self._first_later(cursor)
            names = [] if later is None else await self._all_near(later.first_seq)
        return names

    def forget(self) -> None:
        """What was listed may be wrong."""
        self._known = Recent(2 * RECENT_HOURS)

    async def _all_near(self, cursor: int) -> list[ObjectName]:
        # The growing ones first: what is not there any more has been in a segment for a while.
        growing = await self._growing_until(cursor)
        return growing if self._segments == self._growing else growing + await self._segments_of(hour_of(cursor))

    async def _segments_of(self, hour: int) -> list[ObjectName]:
        names = self._known.get((self._segments, hour))
        if names is None:
            names = await self._list(self._segments, hour, [])
        return names

    async def _growing_until(self, cursor: int) -> list[ObjectName]:
        """The names of the hour, listed on from those that are known if they do not reach the cursor."""
        hour = hour_of(cursor)
        names = self._known.get((self._growing, hour)) or []
        if not names or names[-1].last_seq < cursor:
            names = await self._list(self._growing, hour, names)
        return names

    async def _list(self, folder: Folder, hour: int, names: list[ObjectName]) -> list[ObjectName]:
        """List an hour's names behind those that are known."""
        prefix, after = hour_prefix(folder, hour * HOUR_US), names[-1].key if names else ""
        while listed := await self._objects.names(prefix, after):
            names, after = [*names, *own_names(listed)], listed[-1]
            if len(listed) < MAX_LISTED:
                break
        self._known.add((folder, hour), names)
        return names

    async def _first_later(self, cursor: int) -> ObjectName | None:
        """The first object of a later hour, in whichever folder."""
        found = [await self._first_behind(folder, cursor) for folder in dict.fromkeys((self._growing, self._segments))]
        return min(filter(None, found), key=lambda name: name.first_seq, default=None)

    async def _first_behind(self, folder: Folder, cursor: int) -> ObjectName | None:
        # The names of a later hour sort behind all of this one's.
        after = f"{hour_prefix(folder, cursor)}~"
        while listed := await self._objects.names(f"{folder}/", after, LATER_NAMES):
            if names := own_names(listed):
                return names[0]
            after = listed[-1]
        return None
