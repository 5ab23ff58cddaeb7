"""The object port: what EdgeRelay asks of the bucket that holds the archive.

Objects are written once and never changed, but for the few that say what there is. Every call may fail, and whoever
calls tries again later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

from edgerelay.errors import EdgeRelayError

__all__ = [
    "MAX_LISTED",
    "LostObjects",
    "ObjectMissingError",
    "ObjectReader",
    "ObjectStore",
    "ObjectStoreError",
    "Tail",
]

MAX_LISTED = 1_000
"""Names in one call (limit of R2)."""


class ObjectStoreError(EdgeRelayError):
    """The bucket does not answer, or refuses."""


class ObjectMissingError(ObjectStoreError):
    """There is no object of this name."""


class Tail(NamedTuple):
    """The end of an object."""

    data: bytes
    size_bytes: int
    """Of the whole object."""


class ObjectReader(Protocol):
    """What a bucket shows. All of it may raise `ObjectStoreError`."""

    async def read(self, name: str, offset: int, length: int) -> bytes:
        """A part of an object; less than `length` if the object ends before. Raises `ObjectMissingError`."""

    async def read_tail(self, name: str, length: int) -> Tail:
        """The last bytes of an object, all of them if it is shorter. Raises `ObjectMissingError`."""

    async def names(self, prefix: str, after: str = "", limit: int = MAX_LISTED) -> list[str]:
        """The first names that begin with `prefix` and sort behind `after`, in order; at most `MAX_LISTED`."""


class ObjectStore(ObjectReader, Protocol):
    """A bucket. All of it may raise `ObjectStoreError`; names are listed as soon as their objects are put."""

    async def put(self, name: str, data: bytes) -> bool:
        """Store an object unless there is one of this name; tells whether there was none. Durable when it returns."""

    async def stream(self, name: str, size_bytes: int, parts: AsyncIterator[bytes]) -> bool:
        """The same for an object that is too large to be held: `parts` have `size_bytes` together.

        If `parts` raises, nothing is stored, and that is raised.
        """

    async def replace(self, name: str, data: bytes) -> None:
        """Store an object, whether there is one of this name or not. Durable when it returns."""

    async def delete(self, names: Sequence[str]) -> None:
        """Take away the objects of these names, at most `MAX_LISTED`; those that are not there are no error."""


class LostObjects:
    """A bucket that can be lost for a while, to rehearse that."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self.is_lost = False

    async def put(self, name: str, data: bytes) -> bool:
        self._check()
        return await self._objects.put(name, data)

    async def stream(self, name: str, size_bytes: int, parts: AsyncIterator[bytes]) -> bool:
        self._check()
        return await self._objects.stream(name, size_bytes, parts)

    async def replace(self, name: str, data: bytes) -> None:
        self._check()
        await self._objects.replace(name, data)

    async def read(self, name: str, offset: int, length: int) -> bytes:
        self._check()
        return await self._objects.read(name, offset, length)

    async def read_tail(self, name: str, length: int) -> Tail:
        self._check()
        return await self._objects.read_tail(name, length)

    async def names(self, prefix: str, after: str = "", limit: int = MAX_LISTED) -> list[str]:
        self._check()
        return await self._objects.names(prefix, after, limit)

    async def delete(self, names: Sequence[str]) -> None:
        self._check()
        await self._objects.delete(names)

    def _check(self) -> None:
        if self.is_lost:
            raise ObjectStoreError("the bucket is lost, by rehearsal")
