"""The server's half of a WebSocket, as little of it as a stream of events needs.

Frames go out whole and unmasked, without extensions; what the client says is read and, apart from pings and closing,
ignored. Written here and not taken from a library because a host must be able to write thousands of ready-made
frames at once, and to misbehave.

Spec: RFC 6455.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from enum import IntEnum
from hashlib import sha1
from typing import Final

__all__ = ["CloseCode", "Opcode", "Socket", "accept_key", "frame_header"]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_FIN: Final = 0x80
_MASK: Final = 0x80
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127
_MAX_16: Final = 1 << 16
_MAX_CLIENT_FRAME_BYTES: Final = 1 << 20
"""A client that sends more in one frame is cut off; it has nothing to tell a host."""

WRITE_BUFFER_BYTES: Final = 1 << 20
"""Unsent bytes above which `drain` waits: enough that a fast reader never finds the buffer empty."""

_CLOSE_WAIT_S: Final = 2.0
"""How long a closing host waits for the client's own close frame."""


class Opcode(IntEnum):
    """Frame types of RFC 6455, section 5.2."""

    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(IntEnum):
    """Status codes of RFC 6455, section 7.4.1."""

    NORMAL = 1000
    POLICY = 1008


def accept_key(key: str) -> str:
    """Answer the client's `Sec-WebSocket-Key`."""
    return b64encode(sha1(key.encode() + _GUID).digest()).decode()


def frame_header(length: int, opcode: int = Opcode.BINARY) -> bytes:
    """Write the bytes before an unmasked, unfragmented payload."""
    if length < _LENGTH_16:
        return bytes((_FIN | opcode, length))
    if length < _MAX_16:
        return bytes((_FIN | opcode, _LENGTH_16)) + length.to_bytes(2, "big")
    return bytes((_FIN | opcode, _LENGTH_64)) + length.to_bytes(8, "big")


class Socket:
    """One accepted WebSocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ended = asyncio.Event()
        writer.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def write(self, wire: bytes) -> None:
        """Queue bytes that are framed already."""
        self._writer.write(wire)

    def send(self, payload: bytes, opcode: int = Opcode.BINARY) -> None:
        """Queue one message."""
        self.write(frame_header(len(payload), opcode) + payload)

    async def drain(self) -> None:
        """Wait until the client has taken most of what was queued."""
        await self._writer.drain()

    async def close(self, code: int, reason: str = "") -> None:
        """Say goodbye, and wait a little for the answer."""
        self.send(code.to_bytes(2, "big") + reason.encode(), Opcode.CLOSE)
        try:
            async with asyncio.timeout(_CLOSE_WAIT_S):
                await self.drain()
                await self._ended.wait()
        except (TimeoutError, ConnectionError):
            self.abort()

    def abort(self) -> None:
        """Cut the connection without a word."""
        self._writer.transport.abort()

    async def listen(self) -> None:
        """Read until the client closes or is gone."""
        try:
            while await self._receive() != Opcode.CLOSE:
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._ended.set()

    async def _receive(self) -> int:
        first, second = await self._reader.readexactly(2)
        opcode, length = first & 0x0F, second & ~_MASK
        if length >= _LENGTH_16:
            length = int.from_bytes(await self._reader.readexactly(2 if length == _LENGTH_16 else 8), "big")
        if length > _MAX_CLIENT_FRAME_BYTES:
            raise ConnectionError("client frame too long")
        mask = await self._reader.readexactly(4) if second & _MASK else bytes(4)
        masked = await self._reader.readexactly(length)
        if opcode in (Opcode.PING, Opcode.CLOSE):
            payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))
            self.send(payload, Opcode.PONG if opcode == Opcode.PING else Opcode.CLOSE)
        return opcode
