"""The outbound socket to a host.

Frames are handed over in handfuls, at most as often as batches are flushed: a turn for one frame takes three times as
long as its share of a turn for many. The host's clock and kind are found out before the socket is read, so that they
are known when the first frame arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import js
from pyodide.ffi import JsException, create_proxy

from edgerelay.atproto.origin import origin_of_host_url
from edgerelay.atproto.timestamp import http_date_us
from edgerelay.cloudflare.plain_object import plain_object
from edgerelay.cloudflare.requests import read_header
from edgerelay.cloudflare.tasks import Tasks
from edgerelay.config import Settings
from edgerelay.relay.events import (
    Event,
    FramesReceived,
    TextReceived,
    UpstreamClosed,
    UpstreamFailed,
    UpstreamOpened,
)
from edgerelay.runtime.fetcher import USER_AGENT, parse_retry_after

__all__ = ["UpstreamSockets"]

ASIDE_TIMEOUT_MS: Final = 5_000
"""Milliseconds for a question that the subscription can do without: the host's kind, or its clock."""

_STREAM: Final = "/xrpc/com.atproto.sync.subscribeRepos"


class UpstreamSockets:
    """`UpstreamPort` on the platform."""

    def __init__(
        self,
        settings: Settings,
        tasks: Tasks,
        deliver: Callable[[Event], None],
        clock: Callable[[], int],
    ) -> None:
        self._base = origin_of_host_url(settings.upstream)
        self._kind = "" if settings.upstream_kind == "auto" else settings.upstream_kind
        self._batch_bytes = settings.batch_bytes
        self._flush_ms = settings.flush_ms
        self._tasks = tasks
        self._deliver = deliver
        self._clock = clock
        self._opening: dict[int, Any] = {}
        self._connection = 0
        self._socket: Any = None
        self._frames: list[bytes] = []
        self._size_bytes = 0
        self._handed_us = 0
        self._timer: object | None = None
        self._hand_over_proxy = create_proxy(self._hand_over)
        self._listeners = {
            "message": create_proxy(self._on_message),
            "close": create_proxy(self._on_close),
            "error": create_proxy(self._on_error),
        }

    def open(self, connection: int, cursor: int | None) -> None:
        """Begin to open a socket."""
        self._opening[connection] = controller = js.AbortController.new()
        self._tasks.spawn(self._open(connection, cursor, controller.signal))

    def close(self, connection: int) -> None:
        """Close a socket, or stop opening it. Frames that wait are dropped: they will be read again."""
        controller = self._opening.pop(connection, None)
        if controller is not None:
            controller.abort()
        if self._socket is not None and self._connection == connection:
            socket = self._release()
            try:
                socket.close(1000, "")
            except JsException:
                return  # closed already

    async def _open(self, connection: int, cursor: int | None, signal: Any) -> None:
        query = "" if cursor is None else f"?cursor={cursor}"
        try:
            aside_us = await self._ask_kind()
            answer = await self._fetch(_STREAM + query, {"upgrade": "websocket"}, signal)
            socket = getattr(answer, "webSocket", None)
            if int(answer.status) != HTTPStatus.SWITCHING_PROTOCOLS or not socket:
                self._refused(connection, answer)
                return
            host_us = _date_us(answer) or aside_us or await self._ask_clock()
        except (JsException, OSError) as error:
            self._deliver(UpstreamFailed(connection, f"network: {error}"[:200], 0, 0))
            return
        if self._opening.pop(connection, None) is None:
            socket.accept()
            socket.close()
            return
        self._connection, self._socket = connection, socket
        self._deliver(UpstreamOpened(connection, host_us, self._kind))
        if self._socket is socket:
            self._listen()

    def _refused(self, connection: int, answer: Any) -> None:
        status = int(answer.status)
        retry_after_s = parse_retry_after(read_header(answer, "retry-after"), read_header(answer, "date"))
        self._deliver(UpstreamFailed(connection, f"HTTP {status} instead of an upgrade", status, retry_after_s))

    async def _fetch(self, path: str, headers: dict[str, str], signal: Any) -> Any:
        options = {"headers": {"user-agent": USER_AGENT, **headers}, "signal": signal, "redirect": "manual"}
        return await js.fetch(self._base + path, plain_object(options))

    async def _aside(self, path: str) -> Any:
        try:
            return await self._fetch(path, {}, js.AbortSignal.timeout(ASIDE_TIMEOUT_MS))
        except (JsException, OSError):
            return None

    async def _ask_kind(self) -> int | None:
        """A PDS describes its server, a relay does not. Returns the clock of the answer, if there was one."""
        if self._kind:
            return None
        answer = await self._aside("/xrpc/com.atproto.server.describeServer")
        if answer is None:
            return None
        status = int(answer.status)
        if answer.ok:
            self._kind = "pds"
        elif status == HTTPStatus.NOT_IMPLEMENTED or _is_refused_for_good(status):
            self._kind = "relay"  # any other answer says how the host feels, not what it is
        return _date_us(answer)

    async def _ask_clock(self) -> int | None:
        answer = await self._aside("/xrpc/_health")
        return None if answer is None else _date_us(answer)

    # --- the open socket ------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._socket.binaryType = "arraybuffer"
        for name, listener in self._listeners.items():
            self._socket.addEventListener(name, listener)
        self._socket.accept()

    def _release(self) -> Any:
        """Forget the socket and what it delivered; returns it."""
        socket, self._socket = self._socket, None
        for name, listener in self._listeners.items():
            socket.removeEventListener(name, listener)
        self._take_frames()
        return socket

    def _take_frames(self) -> list[bytes]:
        if self._timer is not None:
            js.clearTimeout(self._timer)
            self._timer = None
        frames, self._frames, self._size_bytes = self._frames, [], 0
        return frames

    def _on_message(self, event: Any) -> None:
        data = event.data
        if isinstance(data, str):
            self._hand_over()
            self._deliver(TextReceived(self._connection))
            return
        frame = data.to_bytes()
        self._frames.append(frame)
        self._size_bytes += len(frame)
        if self._size_bytes >= self._batch_bytes:
            self._hand_over()
        elif self._timer is None:
            wait_ms = self._flush_ms - (self._clock() - self._handed_us) // 1_000
            # Never longer than between two flushes, whatever the clock does. If due, it still goes with what is there.
            self._timer = js.setTimeout(self._hand_over_proxy, min(max(0, wait_ms), self._flush_ms))

    def _hand_over(self) -> None:
        frames = self._take_frames()
        if frames:
            self._handed_us = self._clock()
            self._deliver(FramesReceived(self._connection, frames))

    def _on_close(self, event: Any) -> None:
        self._ended(f"closed {int(event.code)} {event.reason}".strip())

    def _on_error(self, event: Any) -> None:
        self._ended(f"error: {getattr(event, 'message', '')}")

    def _ended(self, problem: str) -> None:
        self._hand_over()
        if self._socket is not None:
            self._release()
            self._deliver(UpstreamClosed(self._connection, problem[:200]))


def _is_refused_for_good(status: int) -> bool:
    is_ours = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return is_ours and status != HTTPStatus.TOO_MANY_REQUESTS


def _date_us(answer: Any) -> int | None:
    return http_date_us(read_header(answer, "date"))
