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
from edgerelay.errors import InvariantError

__all__ = ["Folder", "ObjectName", "ObjectNameError", "hour_prefix", "own_names"]

_US_PER_S: Final = 1_000_000


class ObjectNameError(InvariantError):
    """A name is not one of an object of the archive."""


class Folder(StrEnum):
    """Where objects of one kind lie."""

    FIREHOSE = "firehose"
    """Segments of frames."""

    JETSTREAM = "jetstream"
    """Segments of lines."""

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


def hour_prefix(folder: Folder, seq: int) -> str:
    """What the names of all objects begin with whose first number is in the same hour as this one."""
    return f"{folder}/{datetime.fromtimestamp(seq // _US_PER_S, UTC):%Y/%m/%d/%H}/"


_KEY: Final = re.compile(
    rf"({'|'.join(Folder)})/[0-9]{{4}}/[0-9]{{2}}/[0-9]{{2}}/[0-9]{{2}}/([0-9]{{16}})-([0-9]{{16}})\.g([0-9]{{1,10}})\.ers"
)
_SHOWN_CHARS: Final = 100
