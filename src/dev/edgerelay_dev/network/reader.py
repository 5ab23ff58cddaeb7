"""A blocking reader of streams, for tests and benchmarks: fast enough never to be what is measured."""

from __future__ import annotations

import os
import socket
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from edgerelay_dev.network.websocket import Opcode

__all__ = ["SUBSCRIBE", "FrameReader", "StreamClosed"]

SUBSCRIBE: Final = "/xrpc/com.atproto.sync.subscribeRepos"
_RECEIVE_BYTES: Final = 1 << 20


class StreamClosed(Exception):
    """The host answered without upgrading, closed, or cut the connection; `code` is the status, close code or None."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class FrameReader:
    """One subscription; iterate for frames, or `read` one with the time limit that was given."""

    def __init__(
        self,
        ws_url: str,
        cursor: int | str | None = None,
        *,
        timeout_s: float = 10.0,
        path: str = SUBSCRIBE,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Connect and upgrade, with more `headers` if there are any; raises `StreamClosed` when the host will not."""
        target = urlsplit(ws_url)
        self._socket = socket.create_connection((target.hostname or "localhost", target.port or 80), timeout_s)
        self._buffer = b""
        self._at = 0
        query = "" if cursor is None else f"?cursor={cursor}"
        try:
            self._handshake(f"{path}{query}", {"Host": target.netloc, **(headers or {})})
        except TimeoutError:
            self.close()
            raise

    def read(self) -> bytes:
        """Return the next frame; raises TimeoutError after the time limit and `StreamClosed` at the end."""
        while True:
            opcode, payload = self._message()
            if opcode in (Opcode.BINARY, Opcode.TEXT):
                return payload
            if opcode == Opcode.CLOSE:
                self.close()
                raise StreamClosed(int.from_bytes(payload[:2], "big") or None, payload[2:].decode())

    def __iter__(self) -> Iterator[bytes]:
        while True:
            try:
                yield self.read()
            except StreamClosed:
                return

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def cut(self) -> None:
        """End the connection under a `read` that waits in another thread; it raises `StreamClosed`."""
        with suppress(OSError):  # the peer may have been faster
            self._socket.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _handshake(self, target: str, more: Mapping[str, str]) -> None:
        key = b64encode(os.urandom(16)).decode()
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in more.items())]
        lines += ["Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        self._socket.sendall("\r\n".join(lines).encode())
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._receive()
        status_line, *headers = self._buffer[:end].decode("latin-1").split("\r\n")
        self._at = end + len(b"\r\n\r\n")
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in headers)}
        """Of the answer, names in lower case."""
        status = int(status_line.split(" ")[1])
        if status != 101:
            self.close()
            raise StreamClosed(status, status_line)

    def _message(self) -> tuple[int, bytes]:
        first, length = self._take(2)
        if length >= 126:
            length = int.from_bytes(self._take(2 if length == 126 else 8), "big")
        return first & 0x0F, self._take(length)

    def _take(self, count: int) -> bytes:
        """Consume so many bytes, received or yet to come."""
        while len(self._buffer) - self._at < count:
            self._buffer = self._buffer[self._at :]
            self._at = 0
            self._receive()
        start = self._at
        self._at += count
        return self._buffer[start : self._at]

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            self.close()
            raise StreamClosed(None, "connection lost")
        self._buffer += data
