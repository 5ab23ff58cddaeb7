"""What RelayState keeps in the bucket beside the archive: without it the archive could not be understood.

    state/hosts/1                    the URL of the host that the archive knows by its number
    state/hidden/1795442400000000    the accounts that replay leaves out, as of the change of this number

Objects are written once. The URL of a host is there before anything refers to it; of the hidden accounts the newest
object counts, and those before it are taken away.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Final

from edgerelay.archive.hiding import CHANGE_BYTES, HidingError, VisibilityChange, decode_changes
from edgerelay.runtime.objects import ObjectStore

__all__ = ["MAX_HOSTS", "Exports"]

MAX_HOSTS: Final = 1_000
"""Hosts that are read back: one listing. There is one today."""

MAX_URL_BYTES: Final = 300
"""Of a host's URL: a domain name has 253."""

CHUNK_BYTES: Final = 4_096 * CHANGE_BYTES
"""Of the hidden accounts, that are read and held at once: 0.1 MB."""

_HOSTS: Final = "state/hosts/"
_HIDDEN: Final = "state/hidden/"
_VERSION_BYTES: Final = 1


class Exports:
    """The objects below `state/`. Everything may raise `ObjectStoreError`."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._saved: set[int] = set()

    async def save_hosts(self, hosts: Mapping[int, str]) -> None:
        """Make known what the numbers of hosts mean; costs nothing where it is known."""
        for host_id, url in hosts.items():
            if host_id not in self._saved:
                await self._objects.put(f"{_HOSTS}{host_id}", url.encode())
                self._saved.add(host_id)

    async def hosts(self) -> dict[int, str]:
        """The hosts by their numbers."""
        found: dict[int, str] = {}
        for key in await self._objects.names(_HOSTS, limit=MAX_HOSTS):
            number = key.removeprefix(_HOSTS)
            if number.isascii() and number.isdigit():
                found[int(number)] = (await self._objects.read(key, 0, MAX_URL_BYTES)).decode(errors="replace")
        return found

    async def save_hidden(self, version: int, page: bytes) -> None:
        """Store the hidden accounts as of a change, in place of those before."""
        key = f"{_HIDDEN}{version:016}"
        await self._objects.put(key, page)
        older = [name for name in await self._objects.names(_HIDDEN) if name < key]
        if older:
            await self._objects.delete(older)

    async def hidden(self) -> AsyncGenerator[list[VisibilityChange], None]:
        """The hidden accounts as they were stored last, in parts.

        Raises:
            HidingError: it is not what we stored.
        """
        names = await self._objects.names(_HIDDEN)
        if not names:
            return
        size_bytes = (await self._objects.read_tail(names[-1], _VERSION_BYTES)).size_bytes
        version = await self._objects.read(names[-1], 0, _VERSION_BYTES)
        for offset in range(_VERSION_BYTES, size_bytes, CHUNK_BYTES):
            page = version + await self._objects.read(names[-1], offset, CHUNK_BYTES)
            try:
                changes = decode_changes(page)
            except HidingError as error:
                raise HidingError(f"{names[-1]}: {error}") from error
            yield changes
