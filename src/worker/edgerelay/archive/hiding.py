"""Changes of what replay leaves out: which account is hidden, or shown again, since which number.

    page    := u8 version of the page (1), changes
    change  := u64 number of the #account event, key of the account, u8 visibility      all big-endian

One form for what shards are told and for what is kept in the bucket. A later change of an account replaces an earlier
one.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from edgerelay.archive.record_run import KEY_BYTES
from edgerelay.errors import InvariantError

__all__ = ["CHANGE_BYTES", "HidingError", "Visibility", "VisibilityChange", "decode_changes", "encode_changes"]

PAGE_VERSION: Final = 1
"""Version of the page. A reader accepts its own and the one before; there is none before the first."""

_CHANGE: Final = Struct(f">Q{KEY_BYTES}sB")

CHANGE_BYTES: Final = _CHANGE.size
"""Of one change."""


class HidingError(InvariantError):
    """A page is damaged, or of a version that this code does not know."""


class Visibility(IntEnum):
    """Whether replay has an account's events, and why not. The numbers are stored: they never change."""

    SHOWN = 0
    TAKEN_DOWN = 1
    """By its host."""

    DELETED = 2
    """At its host."""

    TAKEN_DOWN_HERE = 3
    """By this relay."""


class VisibilityChange(NamedTuple):
    """One change."""

    version: int
    """Number of the `#account` event that told it: changes are in the order of the stream."""

    key: bytes
    """Of the account, as `relay.accounts.hash_did` makes it."""

    visibility: Visibility


def encode_changes(changes: Iterable[VisibilityChange]) -> bytes:
    """A page."""
    return bytes([PAGE_VERSION]) + b"".join([_CHANGE.pack(*change) for change in changes])


def decode_changes(page: bytes) -> list[VisibilityChange]:
    """Read a page.

    Raises:
        HidingError: it is damaged, or of another version.
    """
    if page[:1] != bytes([PAGE_VERSION]):
        raise HidingError(f"a page of version {page[:1].hex() or 'none'}; this code knows {PAGE_VERSION}")
    if (len(page) - 1) % CHANGE_BYTES:
        raise HidingError(f"a page of {len(page)} bytes")
    try:
        return [
            VisibilityChange(version, key, Visibility(visibility))
            for version, key, visibility in _CHANGE.iter_unpack(page[1:])
        ]
    except ValueError as error:
        raise HidingError(f"a damaged page: {error}") from error
