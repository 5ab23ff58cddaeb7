"""Entries: tagged, versioned values, of which a reader skips those that it need not know.

    entry := u16 tag, u8 version of the value, u32 length of the value, value        all big-endian

The highest bit of a tag says that the entry is *critical*: who does not know the tag or the version must not go on. All
others are *optional*: without them a reader knows less, and is right all the same. A tag stands
at most once, unless it is one of those that repeat.

Which tags there are says `index_entries`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from struct import Struct
from typing import Final

from edgerelay.archive.container_errors import ContainerCorrupt, ContainerNewer

__all__ = ["CRITICAL", "ENTRY_VERSION", "read_entries", "write_entry"]

CRITICAL: Final = 0x8000
"""The bit of a tag that says so."""

ENTRY_VERSION: Final = 1
"""Version of all values that this code writes and reads."""

_HEAD: Final = Struct(">HBI")


def write_entry(tag: int, value: bytes, version: int = ENTRY_VERSION) -> bytes:
    """One entry."""
    return _HEAD.pack(tag, version, len(value)) + value


def read_entries(raw: bytes, known: Collection[int], repeated: Collection[int] = ()) -> dict[int, list[bytes]]:
    """The values of known entries by their tags, in the order in which they stand.

    Raises:
        ContainerCorrupt: these are no entries, or one is there twice that may not be.
        ContainerNewer: a critical entry is unknown, or known in another version.
    """
    values: dict[int, list[bytes]] = {}
    for tag, version, value in _split(raw):
        if tag in known and version == ENTRY_VERSION:
            found = values.setdefault(tag, [])
            if found and tag not in repeated:
                raise ContainerCorrupt(f"entry {tag:#06x} is there twice")
            found.append(value)
        elif tag & CRITICAL:
            raise ContainerNewer(f"entry {tag:#06x} of version {version} is not known, and must be")
    return values


def _split(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at < len(raw):
        start = at + _HEAD.size
        if start > len(raw):
            raise ContainerCorrupt("an entry is cut short")
        tag, version, length = _HEAD.unpack_from(raw, at)
        at = start + length
        if at > len(raw):
            raise ContainerCorrupt(f"entry {tag:#06x} is cut short")
        yield tag, version, raw[start:at]
