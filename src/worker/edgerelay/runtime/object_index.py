"""The port of the index: one row for each object of the archive, for whoever asks without opening objects.

It is a cache that lags behind. Nothing is decided by it, and all of it can be made anew from the bucket.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from edgerelay.errors import EdgeRelayError

__all__ = ["IndexPage", "ObjectIndex", "ObjectIndexError"]


class ObjectIndexError(EdgeRelayError):
    """The index does not answer, or refuses."""


class IndexPage(NamedTuple):
    """Some rows."""

    rows: Mapping[str, Mapping[str, Any]]
    cursor: str
    """Where the next page begins; empty if there is none."""


class ObjectIndex(Protocol):
    """Rows by the names of their objects. All of it may raise `ObjectIndexError`."""

    async def put(self, key: str, facts: Mapping[str, Any], expires_s: int) -> None:
        """Write a row of at most 1,024 bytes as JSON, which is gone at this time, in unix seconds."""

    async def delete(self, key: str) -> None:
        """Take a row away; one that is not there is no error."""

    async def rows(self, prefix: str, cursor: str = "") -> IndexPage:
        """Rows whose keys begin with `prefix`, in order of their keys; at most 1,000."""
