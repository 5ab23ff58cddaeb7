"""Many subscribers in one process, which count messages without looking into them: cheaper than what feeds them."""

from __future__ import annotations

import os
import selectors
import socket
import time
from base64 import b64encode
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Subscribers"]

RECEIVE_BYTES = 1 << 18
CONNECT_S = 20.0
LONGEST_HEADER_BYTES = 10
"""Two bytes, and eight of length: servers do not mask. No message of a stream is shorter."""
LENGTH_16 = 126
OPCODE = 0x0F
CLOSE = 8
CONNECTIONS_AN_ADDRESS = 40
"""Subscribers that say that they come from the same address: fewer than the relay allows in a minute."""


class Subscribers:
    """Sockets of subscribers, open from the beginning."""

    def __init__(self, url: str, count: int, first: int = 0) -> None:
        """`url` is the whole one, http://host:port/path; `first` numbers them, and so says their addresses."""
        self._selector = selectors.DefaultSelector()
        self._all = [_Subscriber(url, number) for number in range(first, first + count)]
        for each in self._all:
            self._selector.register(each.socket, selectors.EVENT_READ, each)
        self._buffer = bytearray(RECEIVE_BYTES)

    @property
    def messages(self) -> list[int]:
        """How many messages each has received."""
        return [each.messages for each in self._all]

    def read_until(self, messages: int, limit_s: float) -> float:
        """Read until each has so many; returns the seconds from the first message on.

        Raises:
            TimeoutError: they did not come in time.
        """
        started: float | None = None
        deadline = time.monotonic() + limit_s
        waiting = {each for each in self._all if each.messages < messages}
        while waiting:
            ready = self._selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError(f"{len(waiting)} subscribers lack messages: {sorted(self.messages)[:5]}…")
            started = started or time.monotonic()
            for key, _ in ready:
                key.data.receive(self._buffer)
                if key.data.messages >= messages:
                    waiting.discard(key.data)
        return time.monotonic() - (started or deadline)

    def read_for(self, seconds: float) -> None:
        """Read whatever comes for so long."""
        deadline = time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0:
            for key, _ in self._selector.select(left_s):
                key.data.receive(self._buffer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._all:
            each.socket.close()
        self._selector.close()


class _Subscriber:
    def __init__(self, url: str, number: int) -> None:
        target = urlsplit(url)
        self.socket = socket.create_connection((target.hostname or "", target.port or 80), CONNECT_S)
        self.messages = 0
        self._header = b""
        self._skip_bytes = 0
        lines = [f"GET {target.path}?{target.query} HTTP/1.1", f"Host: {target.netloc}", "Upgrade: websocket"]
        lines += ["Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines += [f"Sec-WebSocket-Key: {b64encode(os.urandom(16)).decode()}"]
        lines += [f"CF-Connecting-IP: 192.0.2.{number // CONNECTIONS_AN_ADDRESS}", "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = self.socket.recv(1)  # and not a byte of the first message
            if not data:
                raise ConnectionError(f"no upgrade: {answer!r}")
            answer += data
        if not answer.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(f"no upgrade: {answer!r}")

    def receive(self, buffer: bytearray) -> None:
        """Take what is there, and count the messages that begin in it."""
        kept = len(self._header)
        buffer[:kept] = self._header
        size = self.socket.recv_into(memoryview(buffer)[kept:])
        if size == 0:
            raise ConnectionError(f"cut after {self.messages} messages")
        at, end = self._skip_bytes, kept + size
        while at < end:
            following = _following(buffer, at, end)
            if following is None:
                break
            at = following
            self.messages += 1
        self._header = bytes(buffer[at:end])
        self._skip_bytes = max(0, at - end)


def _following(buffer: bytearray, at: int, end: int) -> int | None:
    """Where the message after the one at `at` begins; None if too little of its header is there."""
    if end - at < LONGEST_HEADER_BYTES:
        return None
    if buffer[at] & OPCODE == CLOSE:
        raise ConnectionError(f"closed by the server: {bytes(buffer[at:end])!r}")
    length = buffer[at + 1]
    if length < LENGTH_16:
        return at + 2 + length
    width = 2 if length == LENGTH_16 else 8
    return at + 2 + width + int.from_bytes(buffer[at + 2 : at + 2 + width], "big")
