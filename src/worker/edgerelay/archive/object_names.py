"""Names of the objects of the archive: they say the time and the range.

    firehose/2026/11/23/14/1795442400000000-1795445999999999.g0.ers

The folder, the hour of the first number in UTC, the first and the last number, and the generation. Numbers have 16
digits, so that the names of a folder sort by their first number. Objects never change: what is rewritten has another
generation, so another name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple

from edgerelay.archive.block import MAX_GENERATION, MAX_SEQ
from edgerelay.archive.cutting import HOUR_US, hour_of
from edgerelay.errors import InvariantError

__all__ = [
    "Folder",
    "ObjectName",
    "ObjectNameError",
    "holders",
    "hour_folder",
    "hour_of_key",
    "hour_prefix",
    "own_names",
]

_US_PER_S: Final = 1_000_000


class ObjectNameError(InvariantError):
    """A name is not one of an object of the archive."""


class Folder(StrEnum):
    """Where objects of one kind lie."""

    FIREHOSE = "firehose"
    """Segments of frames."""

    JETSTREAM = "jetstream"
    """Lines: of one group each at first, then segments."""

    BLOBS = "blobs"
    """Segments of references to blobs."""

    GROUPS = "groups"
    """Blocks of the firehose as RelayState puts them, until they are in a segment."""


class ObjectName(NamedTuple):
    """What the name of an object says."""

    folder: Folder
    first_seq: int
    last_seq: int
    generation: int = 0

    @property
    def key(self) -> str:
        """The name. Raises `InvariantError` for numbers that cannot be in one."""
        if not 0 <= self.first_seq <= self.last_seq <= MAX_SEQ or not 0 <= self.generation <= MAX_GENERATION:
            raise InvariantError(f"an object of {self.first_seq} to {self.last_seq}, generation {self.generation}")
        prefix = hour_prefix(self.folder, self.first_seq)
        return f"{prefix}{self.first_seq:016}-{self.last_seq:016}.g{self.generation}.ers"

    @property
    def hour(self) -> int:
        """The hour in which all of it lies, counted from 1970."""
        return hour_of(self.first_seq)

    def covers(self, other: ObjectName) -> bool:
        """Whether this one has all that the other has, rewritten as often or more often."""
        reaches = self.first_seq <= other.first_seq and other.last_seq <= self.last_seq
        return reaches and self.generation >= other.generation

    @classmethod
    def parse(cls, key: str) -> ObjectName:
        """Read a name.

        Raises:
            ObjectNameError: nothing of ours has such a name.
        """
        found = _KEY.fullmatch(key)
        if found is None:
            raise ObjectNameError(f"{key[:_SHOWN_CHARS]!r} is no name of an object of the archive")
        name = cls(Folder(found[1]), int(found[2]), int(found[3]), int(found[4]))
        in_bounds = name.first_seq <= name.last_seq <= MAX_SEQ and name.generation <= MAX_GENERATION
        if not in_bounds or name.key != key:
            raise ObjectNameError(f"{key!r} contradicts itself")
        return name


def own_names(keys: Iterable[str]) -> list[ObjectName]:
    """The names that are ours, in the same order; somebody may have put something else beside them."""
    names = []
    for key in keys:
        try:
            name = ObjectName.parse(key)
        except ObjectNameError:
            continue
        names.append(name)
    return names


def holders(names: Iterable[ObjectName], cursor: int) -> list[ObjectName]:
    """The objects that may hold the first event whose number is at least `cursor`, the best one first.

    Objects may overlap: a segment stands beside its groups for a while. The one that was rewritten most often is
    preferred, then the one that reaches furthest.
    """
    reaching = [name for name in names if name.last_seq >= cursor]
    start = max(cursor, min([name.first_seq for name in reaching], default=0))
    found = [name for name in reaching if name.first_seq <= start]
    return sorted(found, key=lambda name: (name.generation, name.last_seq), reverse=True)


def hour_prefix(folder: str, seq: int) -> str:
    """What the names of all objects begin with whose first number is in the same hour as this one."""
    return f"{hour_folder(folder, hour_of(seq))}/"


def hour_folder(folder: str, hour: int) -> str:
    """The part of names that says the hour, counted from 1970."""
    return f"{folder}/{datetime.fromtimestamp(hour * HOUR_US // _US_PER_S, UTC):%Y/%m/%d/%H}"


def hour_of_key(key: str) -> int | None:
    """The hour that a name of whatever kind says; None if it says none."""
    found = _HOUR.match(key)
    if found is None:
        return None
    year, month, day, hour = map(int, found.groups())
    try:
        start = datetime(year, month, day, hour, tzinfo=UTC)
    except ValueError:
        return None
    return hour_of(int(start.timestamp()) * _US_PER_S)


_HOUR: Final = re.compile(r"[a-z]+/([0-9]{4})/([0-9]{2})/([0-9]{2})/([0-9]{2})[./]")
_KEY: Final = re.compile(
    rf"({'|'.join(Folder)})/[0-9]{{4}}/[0-9]{{2}}/[0-9]{{2}}/[0-9]{{2}}/([0-9]{{16}})-([0-9]{{16}})\.g([0-9]{{1,10}})\.ers"
)
_SHOWN_CHARS: Final = 100
