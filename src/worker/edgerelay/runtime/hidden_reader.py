"""Keeps a shard's hidden accounts in step with RelayState's.

What an `#account` event changes is known to RelayState when the event arrives, so changes are asked for when one was
seen or may have been missed, and something is to be read back. A shard that reads nothing back asks for nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from edgerelay.archive.batch import BatchHead
from edgerelay.archive.hiding import decode_changes
from edgerelay.relay.hidden import HiddenAccounts

__all__ = ["HiddenReader"]

_ACCOUNT = "#account"


class HiddenReader:
    """Asks for changes, one call after the other."""

    def __init__(self, hidden: HiddenAccounts, ask: Callable[[int], Awaitable[bytes]]) -> None:
        """`ask` gets the next changes behind a version from RelayState, and an empty page if there are none."""
        self._hidden = hidden
        self._ask = ask
        self.is_behind = True
        """Something may have changed: nothing may be read back before `refresh`."""

        self.is_asking = False
        """A refresh is under way."""

    def saw(self, head: BatchHead) -> None:
        """A batch of the feed arrived."""
        if _ACCOUNT in head.kinds:
            self.is_behind = True

    def missed(self) -> None:
        """Batches may have been left out."""
        self.is_behind = True

    async def refresh(self) -> None:
        """Take in what has changed. Raises whatever asking raises; what is behind stays behind."""
        self.is_asking = True
        try:
            while self.is_behind:
                self.is_behind = False
                await self._follow()
        finally:
            self.is_asking = False

    async def _follow(self) -> None:
        try:
            while changes := decode_changes(await self._ask(self._hidden.version)):
                self._hidden.take(changes)
        except BaseException:
            self.is_behind = True
            raise
