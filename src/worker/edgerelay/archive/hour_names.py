"""What lies in the bucket of one hour, by names alone, and what is still to be done with it.

    groups       as RelayState put them
    segments     groups, joined: they cover the groups that are in them
    lines        of one group each, or joined
    quarantined  groups that cannot be rendered or joined
    blobs        references to blobs, of lines that are joined; there need not be any

Whoever has done a part of the work and was killed finds out here what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from edgerelay.archive.catalog import checksum_of
from edgerelay.archive.object_names import Folder, ObjectName

__all__ = ["HourNames", "split_covered"]


class HourNames(NamedTuple):
    """All names of an hour, in order."""

    groups: list[ObjectName]
    segments: list[ObjectName]
    lines: list[ObjectName]
    quarantined: list[ObjectName]
    blobs: Sequence[ObjectName] = ()

    @property
    def uncopied(self) -> list[ObjectName]:
        """Groups that are in no segment."""
        return [name for name in split_covered([*self.segments, *self.groups])[0] if name.folder is Folder.GROUPS]

    @property
    def unrendered(self) -> list[ObjectName]:
        """Groups that have no lines."""
        rendered, given_up = set(self.lines), set(self.quarantined)
        kept, _ = split_covered({*self.lines, *map(_lines_of, self.groups)})
        groups = [name._replace(folder=Folder.GROUPS) for name in kept if name not in rendered]
        return [group for group in groups if group not in given_up]

    @property
    def unjoined_lines(self) -> list[ObjectName]:
        """Lines of single groups, which are in no segment of lines."""
        of_groups = set(map(_lines_of, self.groups))
        return [name for name in split_covered(self.lines)[0] if name in of_groups]

    @property
    def unreferenced(self) -> list[ObjectName]:
        """Lines that stay, whose references to blobs are not there: they end with those of the last lines."""
        ends = {(name.last_seq, name.generation) for name in self.blobs}
        return [name for name in split_covered(self.lines)[0] if (name.last_seq, name.generation) not in ends]

    @property
    def kept(self) -> list[ObjectName]:
        """What stays when all is done: segments, lines and references that nothing newer or larger covers."""
        return [name for some in (self.segments, self.lines, self.blobs) for name in split_covered(some)[0]]

    @property
    def superfluous(self) -> list[ObjectName]:
        """What segments cover: at last the groups, whose names tell that something is to be done."""
        copied = set(split_covered([*self.segments, *self.groups])[1])
        covered = [name for some in (self.blobs, self.lines, self.segments) for name in split_covered(some)[1]]
        return [*covered, *[name for name in self.groups if name in copied]]

    @property
    def checksum(self) -> int:
        """Differs when what stays, or what is in quarantine, is not the same any more."""
        return checksum_of(name.key for name in [*self.kept, *self.quarantined])


def split_covered(names: Iterable[ObjectName]) -> tuple[list[ObjectName], list[ObjectName]]:
    """Those that no other one covers, and those that one does, in order. Of two equal ranges the segment covers."""
    kept: list[ObjectName] = []
    covered: list[ObjectName] = []
    reach: dict[int, int] = {}
    for name in sorted(names, key=lambda each: (each.first_seq, -each.last_seq, -each.generation, each.folder)):
        is_covered = any(name.generation <= other and name.last_seq <= end for other, end in reach.items())
        (covered if is_covered else kept).append(name)
        reach[name.generation] = max(reach.get(name.generation, 0), name.last_seq)
    return kept, covered


def _lines_of(group: ObjectName) -> ObjectName:
    return group._replace(folder=Folder.JETSTREAM)
