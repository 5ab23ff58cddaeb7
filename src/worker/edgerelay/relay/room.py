"""How much may wait unsent in the sockets of one shard: the fewer its readers are, the more in each of them.

What waits lies in our memory until its peer takes it. Whom it belongs to, and who gets what next, is `relay.shard`'s.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MOST_UNSENT_BYTES", "SHARED_UNSENT_BYTES", "room_bytes", "share_bytes"]

SHARED_UNSENT_BYTES: Final = 4_000_000
"""Bytes that may wait in all sockets together, however few they are: one that takes everything at full speed has some
batches on its way, of `BATCH_BYTES` each, and to call it behind at each of them costs two reads for one."""

MOST_UNSENT_BYTES: Final = 16_000_000
"""Bytes that are handed to all sockets at once, however many they are: a third of `BUDGET_BYTES`. At full speed a batch
has 1 MB, and a hundred times as much is what an isolate has."""


def share_bytes(count: int) -> int:
    """What each of so many readers may be handed at once."""
    return MOST_UNSENT_BYTES // max(1, count)


def room_bytes(count: int, unsent_bytes: int, shared_bytes: int) -> int:
    """What may wait in one socket of so many before it gets nothing more.

    Args:
        unsent_bytes: for each, if they are neither few nor many (`UNSENT_BYTES`).
        shared_bytes: for all together, if they are few.
    """
    return min(max(unsent_bytes, shared_bytes // max(1, count)), share_bytes(count))
