"""Keeps a shard's hidden accounts in step with RelayState's.

What an `#account` event changes is known to RelayState when the event arrives, so changes are asked for when one was
seen or may have been missed, and something is to be read back. A shard that reads nothing back asks for nothing. While
RelayState is away, what it stored last in the bucket takes its place, until the feed is there again.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable

from edgerelay.archive.batch import BatchHead
from edgerelay.archive.hiding import VisibilityChange, decode_changes
from edgerelay.relay.hidden import HiddenAccounts
from edgerelay.runtime.replay import RelayAwayError

__all__ = ["HiddenReader"]

_ACCOUNT = "#account"


class HiddenReader:
    """Asks for changes, one call after the other."""

    def __init__(
        self,
        hidden: HiddenAccounts,
        ask: Callable[[int], Awaitable[bytes]],
        stored: Callable[[], AsyncIterable[list[VisibilityChange]]],
    ) -> None:
        """`ask` gets the next changes behind a version from RelayState, and an empty page if there are none; it raises
        `RelayAwayError`. `stored` gets all of them as RelayState stored them last."""
        self._hidden = hidden
        self._ask = ask
        self._stored = stored
        self.is_asking = False
        """A refresh is under way."""

        self._may_differ = True

    @property
    def is_behind(self) -> bool:
        """Something may have changed that is not taken in yet: nothing may be read back before `refresh` is done."""
        return self._may_differ or self.is_asking

    def saw(self, head: BatchHead) -> None:
        """A batch of the feed arrived."""
        if _ACCOUNT in head.kinds:
            self._may_differ = True

    def missed(self) -> None:
        """Batches may have been left out."""
        self._may_differ = True

    async def refresh(self) -> None:
        """Take in what has changed. Raises whatever asking raises; what is behind stays behind.

        It is behind again if a change was seen meanwhile. Whoever waited for this gets its turn first: where changes
        come faster than answers, nobody would get anything.
        """
        self.is_asking, self._may_differ = True, False
        try:
            await self._follow()
        except BaseException:
            self._may_differ = True
            raise
        finally:
            self.is_asking = False

    async def _follow(self) -> None:
        try:
            while changes := decode_changes(await self._ask(self._hidden.version)):
                self._hidden.take(changes)
        except RelayAwayError:
            async for changes in self._stored():
                self._hidden.take(changes)
