"""Recovery: what a RelayState without storage learns from the bucket before it gives out a number.

The newest number of the archive, the positions of the hosts behind it, and the accounts that its newest blocks name.
With them the relay goes on where the archive ends: what was in the lost log and not yet archived is asked for again at
the host, and gets new numbers.

It reads and returns; what becomes of it is `node`'s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from edgerelay.archive.block import Codecs
from edgerelay.relay.accounts import Account
from edgerelay.relay.position import PositionRow
from edgerelay.relay.recollection import Recollection
from edgerelay.runtime.archive_end import newest_blocks, newest_names
from edgerelay.runtime.exports import Exports
from edgerelay.runtime.objects import ObjectStore
from edgerelay.runtime.ports import LogSink

__all__ = ["RECALLED_BLOCKS", "Recovered", "recover"]

RECALLED_BLOCKS: Final = 256
"""Blocks that are read for positions and accounts, the newest: some 100 MB of events, which a relay of the whole
network has in 40 s, and which take about as long in the Worker."""


class Recovered(NamedTuple):
    """What the bucket tells."""

    last_seq: int
    """Of the archive; 0 if it is empty."""

    hosts: Mapping[int, str]
    """URLs by the numbers of hosts."""

    positions: Mapping[int, PositionRow]
    """The newest position of each host that the newest blocks name."""

    accounts: tuple[Account, ...]
    told: Mapping[bytes, int]
    """By accounts' keys: the number of the newest `#account`."""


async def recover(
    objects: ObjectStore, codecs: Codecs, sink: LogSink, pause: Callable[[], Awaitable[None]]
) -> Recovered:
    """Look into the bucket.

    Args:
        pause: awaited between two blocks.

    Raises:
        ObjectStoreError: the bucket does not answer.
    """
    hosts = await Exports(objects).hosts()
    names = await newest_names(objects)
    positions: dict[int, PositionRow] = {}
    recollection = Recollection()
    blocks = newest_blocks(objects, names, codecs, sink)
    read = host_id = 0
    async for block in blocks:
        for fields in block.head.positions:
            row = PositionRow(*fields)
            positions.setdefault(row.host_id, row)
            host_id = row.host_id
        recollection.read(block, host_id)
        read += 1
        if read == RECALLED_BLOCKS or recollection.is_full:
            break
        await pause()
    await blocks.aclose()
    return Recovered(names[0].last_seq if names else 0, hosts, positions, recollection.accounts, recollection.told)
