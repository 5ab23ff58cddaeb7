"""What RelayState keeps in the bucket beside the archive: without it the archive could not be understood.

    state/hosts/1    the URL of the host that the archive knows by its number

An object is written once, before anything refers to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edgerelay.runtime.objects import ObjectStore

__all__ = ["MAX_HOSTS", "Exports"]

MAX_HOSTS: Final = 1_000
"""Hosts that are read back: one listing. There is one today."""

MAX_URL_BYTES: Final = 300
"""Of a host's URL: a domain name has 253."""

_HOSTS: Final = "state/hosts/"


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
