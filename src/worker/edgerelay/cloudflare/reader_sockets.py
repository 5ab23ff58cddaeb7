"""The sockets of one shard's readers: letting them in, sending, and seeing them off.

What is known of a reader is attached to its socket, so that it outlives the shard's memory. What a reader gets next is
`relay.shard`'s.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import js
from pyodide.ffi import JsException, to_js

from edgerelay.api.address import client_address, network_of
from edgerelay.api.message import Request, Response, error_response
from edgerelay.cloudflare.isolate import end_object, isolate_budget
from edgerelay.cloudflare.log import JsonLog
from edgerelay.config import Settings
from edgerelay.relay.budget import Debts
from edgerelay.relay.placement import ShardKind
from edgerelay.relay.ring import Ring
from edgerelay.relay.roster import Admission, Ending, Reader, Roster
from edgerelay.runtime.audience import POLICY_VIOLATION
from edgerelay.runtime.seats import Seat

__all__ = ["CLOSING_MS", "ReaderSockets", "close_socket"]

AGENT_CHARS: Final = 80
"""Of a client's User-Agent, which goes into the log."""

RETRY_AFTER_S: Final = "30"
"""How long whoever is refused should wait."""

RELIEVE_US: Final = 250_000
"""Microseconds between two looks at all sockets, which take 2 us each."""

CLOSING_MS: Final = 1_000
"""Milliseconds between two looks at sockets that were closed and whose peers are not gone, whether anything comes or
not: nobody feeds a shard without readers."""

_TAG: Final = "reader"
_ENDINGS: Final = {
    "ConsumerTooSlow": Ending.TOO_SLOW,
    "FutureCursor": Ending.FUTURE_CURSOR,
    "TooManyMessages": Ending.TOO_MANY_MESSAGES,
}
"""By the reasons that readers are told; everything else is about their options."""


class ReaderSockets:
    """Sockets by the names of their readers."""

    def __init__(
        self,
        state: Any,
        settings: Settings,
        log: JsonLog,
        clock: Callable[[], int],
        left: Callable[[str], None],
    ) -> None:
        """`state` is the platform's; `left` is told when a reader is not there any more."""
        self._state = state
        self._shard = str(state.id)
        self._settings = settings
        self._log = log
        self._clock = clock
        self._left = left
        self._sockets: dict[str, Any] = {}
        self._closing: dict[str, Any] = {}
        self._budget = isolate_budget(settings.budget_bytes)
        self._relieved_us = 0
        self.unsent_bytes = 0
        """What waited in all sockets when they were looked at last."""

        self.roster = Roster(self._admission(ShardKind.LIVE))

    def __len__(self) -> int:
        return len(self._sockets)

    def serve(self, kind: ShardKind) -> None:
        """What the shard is for decides how many it takes."""
        self.roster.admission = self._admission(kind)

    def restore(self) -> dict[str, str]:
        """Take over the sockets that outlived our memory; answers what is attached for the seat of each reader."""
        seats: dict[str, str] = {}
        for socket in self._state.getWebSockets(_TAG):
            reader, known, seats[reader] = _attached(socket)
            self._sockets[reader] = socket
            self.roster.enter(reader, known)
        return seats

    def refuse(self, request: Request, behind: int) -> Response | None:
        """Why a client may not come in. Its own doing is 429; for anything else another shard may be tried."""
        refusal = self.roster.refuse(client_address(request), behind, self._clock())
        if refusal is None:
            return None
        status, error = (429, "TooManyConnections") if refusal.is_final else (503, "ShardFull")
        return error_response(request, status, error, refusal.message, {"retry-after": RETRY_AFTER_S})

    def accept(self, request: Request, seat: Seat, attached: str) -> Any:
        """Let a client in; answers its end of the socket."""
        client, server = js.WebSocketPair.new().object_values()
        reader = seat.reader
        self._state.acceptWebSocket(server, to_js([_TAG]))
        agent = request.headers.get("user-agent", "")[:AGENT_CHARS].encode("ascii", "replace").decode()
        known = Reader(client_address(request), agent, str(seat.channel.wire), seat.cursor, self._clock())
        server.serializeAttachment(_attachment(reader, known, attached))
        self._sockets[reader] = server
        self.roster.enter(reader, known)
        return client

    def attach(self, reader: str, attached: str) -> None:
        """A reader has another seat."""
        socket = self._sockets[reader]
        _, known, _ = _attached(socket)
        socket.serializeAttachment(_attachment(reader, known, attached))

    def reader_of(self, socket: Any) -> str | None:
        """Whose socket this is; None if it is to be closed."""
        reader = _attached(socket)[0]
        return reader if reader in self._sockets else None

    def unsent(self, reader: str) -> int | None:
        """Bytes that wait in a socket; None if it does not tell."""
        return getattr(self._sockets.get(reader), "bufferedAmount", None)

    def send(self, reader: str, messages: Sequence[Any], size_bytes: int = 0) -> None:
        """Send messages; `size_bytes` is their size if they are events, 0 if they have no number."""
        socket = self._sockets.get(reader)
        if socket is None:
            return
        try:
            send = socket.send
            for message in messages:
                send(message)
        except JsException:
            self.forget(reader, Ending.GONE)
        else:
            if size_bytes:
                self.roster.sent(reader, len(messages), size_bytes)

    def gone(self, socket: Any) -> None:
        """A socket closed or broke."""
        reader = _attached(socket)[0]
        self._closing.pop(reader, None)
        self.forget(reader, Ending.GONE)

    def close(self, reader: str, reason: str, code: int = POLICY_VIOLATION) -> None:
        """Close a reader's socket for a reason that it is told."""
        self._close(reader, _ENDINGS.get(reason, Ending.BAD_OPTIONS), reason, code)

    def _close(self, reader: str, ending: Ending, reason: str, code: int) -> None:
        socket = self._sockets.get(reader)
        self.forget(reader, ending)
        close_socket(socket, code, reason)
        if getattr(socket, "bufferedAmount", 0):
            self._closing[reader] = socket

    @property
    def is_closing(self) -> bool:
        """Whether sockets that were closed still hold something."""
        return bool(self._closing)

    def relieve(self, ring: Ring[Any], history: Callable[[], int]) -> None:
        """See what all of this holds in memory, and give way if the isolate has too little left."""
        now_us = self._clock()
        if 0 <= now_us - self._relieved_us < RELIEVE_US:
            return
        self._relieved_us = now_us
        history_bytes = history()
        self._report(ring.size_bytes + history_bytes)
        if not self._budget.allows_replay:
            ring.clear()
            self._report(history_bytes)
        while reader := self._budget.overdrawn(self._shard, now_us):
            self._close(reader, Ending.FULL_BUFFER, "ConsumerTooSlow", POLICY_VIOLATION)
            self._report(history_bytes)
        if self._budget.must_end(self._shard, now_us):
            self._log.write("error", "buffers_full", {"readers": len(self._sockets), "closing": len(self._closing)})
            end_object(self._state, "closed sockets hold too much")

    async def wait_for_memory(self) -> None:
        """Wait until history may be read."""
        while not self._budget.allows_replay:  # noqa: ASYNC110 - nothing tells when peers of any object take what waits
            await asyncio.sleep(RELIEVE_US / 1_000_000)

    def _report(self, history_bytes: int) -> None:
        unsent = {reader: getattr(socket, "bufferedAmount", 0) for reader, socket in self._sockets.items()}
        self.unsent_bytes = sum(unsent.values())
        closing = sum(socket.bufferedAmount for socket in self._closing.values())
        debts = Debts({reader: size for reader, size in unsent.items() if size}, closing, history_bytes)
        self._budget.report(self._shard, debts, self._clock())

    def forget(self, reader: str, ending: Ending) -> None:
        """A reader is not there any more; what is known of it goes into the log."""
        self._sockets.pop(reader, None)
        known = self.roster.leave(reader, ending)
        if known is not None:
            facts: dict[str, object] = {"reader": reader, "reason": ending, "network": network_of(known.address)}
            facts |= {"agent": known.agent, "wire": known.wire, "cursor": known.cursor}
            facts |= {"seconds": known.seconds(self._clock()), "events": known.events, "bytes": known.bytes}
            self._log.write("info", "reader_ended", facts)
            self._left(reader)

    def _admission(self, kind: ShardKind) -> Admission:
        settings = self._settings
        behind, per_address = settings.shard_clients, settings.address_clients
        if kind is ShardKind.REPLAY:
            behind, per_address = settings.replay_clients, settings.address_replays
        return Admission(settings.shard_clients, behind, per_address, settings.shard_deliveries_per_s)


def close_socket(socket: Any, code: int, reason: str) -> None:
    """Close a socket that may be closed already, or None."""
    try:
        if socket is not None:
            socket.close(code, reason)
    except JsException:
        return


def _attachment(reader: str, known: Reader, seat: str) -> str:
    return json.dumps([reader, seat, known.address, known.agent, known.wire, known.cursor, known.since_us])


def _attached(socket: Any) -> tuple[str, Reader, str]:
    """A reader's name, what was known of it when it came, and its seat; version 0.1.0 attached the name alone."""
    attached = socket.deserializeAttachment()
    if not attached.startswith("["):
        return attached, Reader("", "", "frames", None, 0), ""
    reader, seat, *known = json.loads(attached)
    return reader, Reader(*known), seat
