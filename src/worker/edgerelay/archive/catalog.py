"""The catalog: for each closed hour of the archive how much there is, and when it was found complete. One object.

    catalog.json
    {"version":1,"hours":{"498734":[compacted_us, first_seq, last_seq, checksum of the names,
                                    firehose objects, bytes, jetstream objects, bytes, [quarantined groups]]}}

From it come the figures of the whole archive, without listing 62 days. Everything in it can be made anew from the
objects themselves; a catalog that is lost or damaged is an empty one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple
from zlib import crc32

from edgerelay.archive.cutting import HOUR_US

__all__ = ["CATALOG_KEY", "NO_FIGURES", "ArchiveFigures", "Catalog", "HourFigures", "checksum_of"]

CATALOG_KEY: Final = "catalog.json"
CATALOG_VERSION: Final = 1


class HourFigures(NamedTuple):
    """One hour."""

    compacted_us: int
    """When nothing was left to be joined."""

    first_seq: int
    last_seq: int
    names_checksum: int
    """Of the names of its objects: tells whether they are still the same."""

    firehose_objects: int
    firehose_bytes: int
    jetstream_objects: int
    jetstream_bytes: int
    quarantined: tuple[str, ...]
    """Groups that could not be rendered or joined, by their names."""


class ArchiveFigures(NamedTuple):
    """All hours."""

    hours: int
    oldest_seq: int
    """0 if there is no hour."""

    newest_seq: int
    firehose_objects: int
    firehose_bytes: int
    jetstream_objects: int
    jetstream_bytes: int
    quarantined: int
    stuck_hours: int = 0
    """Hours in which the compaction ended again and again (`archive.attempts`)."""

    def encode(self) -> str:
        """As JSON."""
        return json.dumps(self._asdict())

    @classmethod
    def decode(cls, text: str) -> ArchiveFigures:
        """Read what a Worker of this version, an older or a newer one has written."""
        found = json.loads(text)
        return cls(*[int(found.get(name, 0)) for name in cls._fields])


NO_FIGURES: Final = ArchiveFigures(0, 0, 0, 0, 0, 0, 0, 0)


class Catalog:
    """The hours, by their number counted from 1970."""

    def __init__(self, hours: dict[int, HourFigures]) -> None:
        self.hours = hours

    @classmethod
    def decode(cls, raw: bytes) -> Catalog:
        """Read a catalog; whatever is none, or is of another version, is an empty one."""
        try:
            value = json.loads(raw)
            if value["version"] != CATALOG_VERSION:
                return cls({})
            return cls({int(hour): _figures(row) for hour, row in value["hours"].items()})
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            return cls({})

    def encode(self) -> bytes:
        """The object's bytes."""
        hours = {str(hour): list(self.hours[hour]) for hour in sorted(self.hours)}
        return json.dumps({"version": CATALOG_VERSION, "hours": hours}, separators=(",", ":")).encode()

    def forget_before(self, end_us: int) -> None:
        """Leave out hours that ended before this time, in unix microseconds."""
        self.hours = {hour: figures for hour, figures in self.hours.items() if (hour + 1) * HOUR_US > end_us}

    def figures(self) -> ArchiveFigures:
        """How much there is in all."""
        hours = self.hours.values()
        return ArchiveFigures(
            len(hours),
            min([hour.first_seq for hour in hours if hour.first_seq], default=0),
            max([hour.last_seq for hour in hours], default=0),
            sum([hour.firehose_objects for hour in hours]),
            sum([hour.firehose_bytes for hour in hours]),
            sum([hour.jetstream_objects for hour in hours]),
            sum([hour.jetstream_bytes for hour in hours]),
            sum([len(hour.quarantined) for hour in hours]),
        )


def checksum_of(names: Iterable[str]) -> int:
    """The checksum of some names, in whatever order."""
    return crc32("\n".join(sorted(names)).encode())


def _figures(row: Any) -> HourFigures:
    *numbers, quarantined = row
    if not all(type(number) is int for number in numbers):
        raise TypeError("a figure that is no number")
    return HourFigures._make([*numbers, tuple([str(key) for key in quarantined])])
