"""Clients that keep what they get and come back when they are cut, all of them in one thread.

Of each event a client keeps its number, a checksum of its bytes and when it came, so that what it got can be compared
with what it should have got, which is `expectation`'s to know. It comes back with the number of its last event as the
cursor, and drops the one repeat that an inclusive cursor means.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from array import array
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from itertools import count
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from zlib import crc32

from expectation import Got

from edgerelay_dev.network.reader import SUBSCRIBE
from edgerelay_dev.network.websocket import Opcode

__all__ = ["SLOW_BYTES", "SLOW_S", "Client", "Clients", "Pace"]

BUFFER_BYTES = 8_000_000
"""More than the largest message and one look at a socket."""
RECEIVE_BYTES = 256_000
CONNECT_S = 10.0
RETRY_S = 0.5
"""Before a client that was cut or refused comes back."""
SLOW_S = 1.0
SLOW_BYTES = 128_000
"""What a slow client takes, once in `SLOW_S`: 25 frames, where the whole network has hundreds. The operating system of
the server wants room for hundreds of kilobytes before it takes anything more, and somebody slower seems to stand still.
"""
SEQ = b"\x63seq\x1b"
"""What stands before the eight bytes of an event's number."""
LENGTH_16 = 126
FIRST_ADDRESS = 198 << 24 | 18 << 16
"""198.18.0.0/15 is for benchmarks. Each client has an address of its own, so that no limit is met by accident."""
TURN_S = 0.1

_numbers = count()


class Pace(Enum):
    """How a client reads: the bytes that the operating system keeps for it, 0 if as many as it likes. On one machine
    that would be megabytes."""

    FULL = 0
    SLOW = 128_000
    NEVER = 32_000


class Client:
    """One subscriber."""

    def __init__(
        self,
        url: str,
        query: str = "",
        *,
        cursor: int | None = None,
        resume: int | None = None,
        pace: Pace = Pace.FULL,
        listener: Callable[[bytes], None] | None = None,
    ) -> None:
        """`cursor` is for its first attempt, `resume` for the others until it has an event (without it, the cursor
        again); `listener` gets each event's frame."""
        self._target = urlsplit(url)
        self._query = query
        self._cursor = cursor
        self._resume = cursor if resume is None else resume
        self._listener = listener
        self._address = socket.inet_ntoa((FIRST_ADDRESS + next(_numbers)).to_bytes(4, "big"))
        self.pace = pace
        self._seqs = array("Q")
        self._checksums = array("L")
        self.arrived_us = array("Q")
        self.told: list[bytes] = []
        """Messages without a number: errors, and what is no event."""

        self.closings: list[str] = []
        """Reasons with which it was closed."""

        self.refusals: Counter[str] = Counter()
        """Status lines of answers that did not upgrade."""

        self.connections = 0
        self.is_open = False
        self._is_first = True
        self._rest = b""

    def __len__(self) -> int:
        """How many events it has."""
        return len(self._seqs)

    @property
    def got(self) -> list[Got]:
        """All its events."""
        return list(map(Got, self._seqs, self._checksums))

    def connect(self) -> None:
        """Ask for the stream; the answer is read with the rest. Raises `OSError` where nobody listens."""
        self.socket = socket.socket()
        if self.pace is not Pace.FULL:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.pace.value)
        self.socket.settimeout(CONNECT_S)
        try:
            self.socket.connect((self._target.hostname or "", self._target.port or 80))
            self.socket.sendall(self._request())
        except OSError:
            self.socket.close()
            raise
        self.socket.setblocking(False)
        self.is_open, self._is_first, self._rest = False, True, b""

    def receive(self, buffer: bytearray, most_bytes: int = RECEIVE_BYTES) -> bool:
        """Take what is there; whether the connection goes on."""
        kept = len(self._rest)
        buffer[:kept] = self._rest
        try:
            size = self.socket.recv_into(memoryview(buffer)[kept:], most_bytes)
        except BlockingIOError:
            return True
        except OSError:
            return False
        at, end, now_us = 0, kept + size, time.time_ns() // 1_000
        if not self.is_open:
            at = self._take_answer(buffer, end)
        while self.is_open and (message := _message(buffer, at, end)) is not None:
            opcode, start, at = message
            if opcode == Opcode.CLOSE:
                self.closings.append(buffer[start + 2 : at].decode())
                return False
            self._take(buffer, start, at, now_us)
        self._rest = bytes(memoryview(buffer)[at:end])
        return size > 0

    def _request(self) -> bytes:
        cursor = self._seqs[-1] if self._seqs else self._cursor
        self._cursor = self._resume
        parameters = [each for each in (self._query, "" if cursor is None else f"cursor={cursor}") if each]
        lines = [f"GET {SUBSCRIBE}?{'&'.join(parameters)} HTTP/1.1", f"Host: {self._target.netloc}"]
        lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines += [f"Sec-WebSocket-Key: {b64encode(os.urandom(16)).decode()}"]
        return "\r\n".join([*lines, f"CF-Connecting-IP: {self._address}", "", ""]).encode()

    def _take_answer(self, buffer: bytearray, end: int) -> int:
        """Where the messages begin, if the answer is complete."""
        answer_end = buffer.find(b"\r\n\r\n", 0, end)
        if answer_end < 0:
            return 0
        status = buffer[: buffer.find(b"\r\n")].decode()
        self.is_open = " 101 " in status
        if self.is_open:
            self.connections += 1
        else:
            self.refusals[status] += 1
        return answer_end + 4

    def _take(self, buffer: bytearray, start: int, end: int, now_us: int) -> None:
        found = buffer.find(SEQ, start, end)
        if found < 0:
            self.told.append(bytes(buffer[start:end]))
            return
        seq = int.from_bytes(buffer[found + len(SEQ) : found + len(SEQ) + 8], "big")
        checksum = crc32(memoryview(buffer)[start:end])
        is_repeat = self._is_first and bool(self._seqs) and (seq, checksum) == (self._seqs[-1], self._checksums[-1])
        self._is_first = False
        if is_repeat:
            return
        self._seqs.append(seq)
        self._checksums.append(checksum)
        self.arrived_us.append(now_us)
        if self._listener is not None:
            self._listener(bytes(buffer[start:end]))


class Clients:
    """Connects them, reads them, and lets those who were cut come back."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._buffer = bytearray(BUFFER_BYTES)
        self._due: list[tuple[float, Client]] = []
        self._slow: list[Client] = []
        self._slow_at = 0.0
        self.everyone: list[Client] = []

    def add(self, client: Client, delay_s: float = 0.0) -> Client:
        """Let a client come in so many seconds."""
        self.everyone.append(client)
        self._due.append((time.monotonic() + delay_s, client))
        return client

    def renew(self, client: Client) -> None:
        """Cut a connection, if there is one; the client comes back."""
        if all(client is not each for _, each in self._due):
            self._lose(client)

    def read_for(self, seconds: float) -> None:
        """Read whatever comes for so long."""
        deadline = time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0:
            self._turn(min(left_s, TURN_S))

    def read_until(self, is_reached: Callable[[], bool], limit_s: float, what: str) -> None:
        """Read until something holds.

        Raises:
            TimeoutError: it does not in time.
        """
        deadline = time.monotonic() + limit_s
        while not is_reached():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {limit_s} s: {what}")
            self._turn(TURN_S)

    def read_to_end(self, client: Client, limit_s: float) -> None:
        """Read one who had not read, until its connection ends; it does not come back."""
        client.socket.settimeout(limit_s)
        while client.receive(self._buffer):
            pass
        self._forget(client)

    def _turn(self, limit_s: float) -> None:
        now = time.monotonic()
        self._connect_due(now)
        if now - self._slow_at >= SLOW_S:
            self._slow_at = now
            for client in list(self._slow):
                if not client.receive(self._buffer, SLOW_BYTES):
                    self._lose(client)
        for key, _ in self._selector.select(limit_s):
            if not key.data.receive(self._buffer):
                self._lose(key.data)

    def _connect_due(self, now: float) -> None:
        due = [client for at, client in self._due if at <= now]
        self._due = [(at, client) for at, client in self._due if at > now]
        for client in due:
            try:
                client.connect()
            except OSError:
                self._due.append((now + RETRY_S, client))
                continue
            if client.pace is Pace.FULL:
                self._selector.register(client.socket, selectors.EVENT_READ, client)
            elif client.pace is Pace.SLOW:
                self._slow.append(client)

    def _lose(self, client: Client) -> None:
        self._forget(client)
        self._due.append((time.monotonic() + RETRY_S, client))

    def _forget(self, client: Client) -> None:
        if client.pace is Pace.FULL:
            self._selector.unregister(client.socket)
        elif client in self._slow:
            self._slow.remove(client)
        client.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self.everyone:
            with suppress(AttributeError, OSError):  # it has not connected yet
                client.socket.close()
        self._selector.close()


def _message(buffer: bytearray, at: int, end: int) -> tuple[int, int, int] | None:
    """Opcode, beginning and end of the message at `at`; None if it is not all there. Servers do not mask."""
    if end - at < 2:
        return None
    length, start = buffer[at + 1], at + 2
    if length >= LENGTH_16:
        start += 2 if length == LENGTH_16 else 8
        length = int.from_bytes(buffer[at + 2 : start], "big")
    return (buffer[at] & 0x0F, start, start + length) if start + length <= end else None
