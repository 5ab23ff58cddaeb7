"""RelayState's end of the feed: sockets to the shards, which accept them and may sleep meanwhile.

A batch goes out as one binary message; everything else is JSON text: `{"v": 1, "head": seq}` to the shard,
`{"v": 1, "ack": seq, "clients": n, "isolate": name, "buffered_amount": true, "load": {…}}` back, where only the first
three are sure to be there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from pyodide.ffi import JsException, create_proxy

from edgerelay.archive.batch import HEAD_VERSION, Batch
from edgerelay.cloudflare.buffers import Buffers
from edgerelay.cloudflare.plain_object import plain_object
from edgerelay.cloudflare.tasks import Tasks
from edgerelay.relay.events import Event, ShardAcked, ShardClosed, ShardOpened
from edgerelay.relay.roster import ShardLoad

__all__ = ["FEED_URL", "FeedSockets"]

FEED_URL: Final = "https://shard/feed"
"""Where a shard accepts the feed; only other objects can ask for it."""


class FeedSockets:
    """`ShardPort` on the platform."""

    def __init__(self, namespace: Any, buffers: Buffers, tasks: Tasks, deliver: Callable[[Event], None]) -> None:
        """`namespace` is the platform's binding of the shards."""
        self._namespace = namespace
        self._buffers = buffers
        self._deliver = deliver
        self._sockets: dict[str, _Link] = {}
        self._tasks = tasks
        self._encoded: tuple[Batch, Any] | None = None

    def dial(self, shard: str, region: str) -> None:
        """Begin to open the feed to a shard."""
        self._tasks.spawn(self._dial(shard, region))

    def send_batch(self, shard: str, batch: Batch) -> None:
        """Send a batch; it is handed to the platform once, whatever the number of shards."""
        if self._encoded is None or self._encoded[0] is not batch:
            self._encoded = batch, self._buffers.joined(*batch.message_parts())
        self._send(shard, self._encoded[1])

    def send_head(self, shard: str, last_seq: int) -> None:
        """Tell a shard the newest number."""
        self._send(shard, json.dumps({"v": HEAD_VERSION, "head": last_seq}))

    def close(self, shard: str) -> None:
        """Close the feed to a shard."""
        link = self._sockets.pop(shard, None)
        if link is not None:
            link.close()

    def _send(self, shard: str, message: Any) -> None:
        link = self._sockets.get(shard)
        if link is None:
            return
        try:
            link.socket.send(message)
        except JsException:
            self._lost(shard)

    def _lost(self, shard: str) -> None:
        if shard in self._sockets:
            self.close(shard)
            self._deliver(ShardClosed(shard))

    async def _dial(self, shard: str, region: str) -> None:
        options: dict[str, Any] = {"locationHint": region} if region else {}
        try:
            stub = self._namespace.getByName(shard, plain_object(options))
            answer = await stub.fetch(
                FEED_URL,
                plain_object({"headers": {"upgrade": "websocket", "x-shard": shard, "x-edgerelay-request": "feed"}}),
            )
            socket = getattr(answer, "webSocket", None)
        except (JsException, OSError):
            socket = None
        if not socket:
            self._deliver(ShardClosed(shard))
            return
        self.close(shard)
        self._sockets[shard] = _Link(socket, lambda text: self._acked(shard, text), lambda: self._lost(shard))
        self._deliver(ShardOpened(shard))

    def _acked(self, shard: str, text: str) -> None:
        message = json.loads(text)
        isolate, buffered_amount = message.get("isolate", ""), message.get("buffered_amount", False)
        told = message.get("load", {})
        load = ShardLoad(**{name: told[name] for name in ShardLoad._fields if name in told})
        self._deliver(ShardAcked(shard, message["ack"], message["clients"], isolate, buffered_amount, load))


class _Link:
    """One socket and its listeners."""

    def __init__(self, socket: Any, on_text: Callable[[str], None], on_end: Callable[[], None]) -> None:
        self.socket = socket
        self._listeners = {
            "message": create_proxy(lambda event: on_text(event.data)),
            "close": create_proxy(lambda _: on_end()),
            "error": create_proxy(lambda _: on_end()),
        }
        for name, listener in self._listeners.items():
            socket.addEventListener(name, listener)
        socket.accept()

    def close(self) -> None:
        for name, listener in self._listeners.items():
            self.socket.removeEventListener(name, listener)
        self._listeners.clear()
        try:
            self.socket.close(1000, "")
        except JsException:
            return  # closed already
