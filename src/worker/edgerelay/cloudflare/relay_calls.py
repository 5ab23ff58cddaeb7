"""What a shard asks RelayState for, by calls: the feed, what is in the log, and whom replay leaves out."""

from __future__ import annotations

from typing import Any, Final

from pyodide.ffi import JsException

from edgerelay.archive.batch import BatchError
from edgerelay.cloudflare.answers import within
from edgerelay.cloudflare.buffered import Buffered, read_bytes, read_history
from edgerelay.cloudflare.relay_state import RELAY_NAME
from edgerelay.relay.shard_commands import History
from edgerelay.runtime.replay import RelayAwayError

__all__ = ["RelayCalls"]

ANSWER_S: Final = 20.0
"""Seconds that RelayState may take to answer, which has to start first, maybe. Then the archive is read without it."""


class RelayCalls:
    """Calls to RelayState. All of them raise `RelayAwayError` if it does not answer in time."""

    def __init__(self, namespace: Any) -> None:
        """`namespace` is the platform's binding of RelayState."""
        self._namespace = namespace

    async def join(self, shard: str, region: str) -> None:
        """Ask for the feed, which it then opens."""
        await self._call("join", shard, region)

    async def hidden(self, after: int) -> bytes:
        """The changes of hidden accounts behind a number."""
        return read_bytes(await self._call("hidden", after))

    async def read(self, cursor: int) -> History[Buffered]:
        """The batch of the log with the first number that is at least `cursor`.

        One that cannot be read, maybe because the other side has newer code already, counts as no answer.
        """
        answer = await self._call("read", cursor)
        try:
            return read_history(answer)
        except BatchError as error:
            raise RelayAwayError(str(error)) from error

    async def _call(self, name: str, *arguments: object) -> Any:
        # A stub that saw its object end is of no use afterwards, so nobody keeps one.
        relay = self._namespace.getByName(RELAY_NAME)
        try:
            return await within(ANSWER_S, getattr(relay, name)(*arguments))
        except (JsException, OSError) as error:
            raise RelayAwayError(str(error)) from error
