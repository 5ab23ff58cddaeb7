from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from edgerelay_dev.network.server import Answer, HttpServer, Request, Upgrade
from edgerelay_dev.network.websocket import CloseCode, Opcode, Socket, accept_key, frame_header

PATIENCE_S = 5


class Echo:
    """Serves sockets and keeps them for the test."""

    def __init__(self) -> None:
        self.sockets: asyncio.Queue[Socket] = asyncio.Queue()
        self.server = HttpServer(self.answer, lambda: None)

    async def answer(self, request: Request) -> Answer:
        return Upgrade(self.serve)

    async def serve(self, socket: Socket) -> None:
        self.sockets.put_nowait(socket)
        await asyncio.Event().wait()


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Socket, ClientConnection]]:
    """A socket of ours, and the client of the websockets package at its other end."""
    echo = Echo()
    port = await echo.server.start()
    async with connect(f"ws://127.0.0.1:{port}", max_size=None, compression="deflate") as client:
        yield await asyncio.wait_for(echo.sockets.get(), PATIENCE_S), client
    await echo.server.stop()


def test_accept_key_of_the_rfc() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (0, "8200"),
        (125, "827d"),
        (126, "827e007e"),
        (65_535, "827effff"),
        (65_536, "827f0000000000010000"),
        (5_000_001, "827f00000000004c4b41"),
    ],
)
def test_headers_have_the_shortest_length(length: int, header: str) -> None:
    assert frame_header(length).hex() == header


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 5_000_001])
async def test_client_receives_messages_of_every_size(pair: tuple[Socket, ClientConnection], size: int) -> None:
    socket, client = pair
    socket.send(bytes(size))
    socket.send(b"text", Opcode.TEXT)
    await socket.drain()
    assert await client.recv() == bytes(size)
    assert await client.recv() == "text"


async def test_ping_is_answered_and_data_ignored(pair: tuple[Socket, ClientConnection]) -> None:
    _, client = pair
    await client.send(b"x" * 70_000)
    await client.send("y" * 200)
    pong = await client.ping(b"payload")
    assert await asyncio.wait_for(pong, PATIENCE_S) >= 0


async def test_close_says_why_and_waits_for_the_answer(pair: tuple[Socket, ClientConnection]) -> None:
    socket, client = pair
    await socket.close(CloseCode.POLICY, "FutureCursor")
    with pytest.raises(websockets.ConnectionClosedError):
        await client.recv()
    assert (client.close_code, client.close_reason) == (1008, "FutureCursor")


async def test_abort_cuts_without_a_close_frame(pair: tuple[Socket, ClientConnection]) -> None:
    socket, client = pair
    socket.abort()
    with pytest.raises(websockets.ConnectionClosedError):
        await client.recv()
    assert client.close_code == 1006


async def test_client_that_sends_too_much_is_cut_off(pair: tuple[Socket, ClientConnection]) -> None:
    _, client = pair
    await client.send(bytes((1 << 20) + 1))
    with pytest.raises(websockets.ConnectionClosedError):
        await client.recv()


async def test_close_gives_up_on_a_client_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgerelay_dev.network.websocket._CLOSE_WAIT_S", 0.05)
    echo = Echo()
    port = await echo.server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n")
    socket = await asyncio.wait_for(echo.sockets.get(), PATIENCE_S)
    await socket.close(CloseCode.NORMAL)
    assert (await asyncio.wait_for(_read_all(reader), PATIENCE_S)).endswith(b"\x88\x02\x03\xe8")
    writer.close()
    await echo.server.stop()


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    data = b""
    try:
        while chunk := await reader.read(1 << 16):
            data += chunk
    except ConnectionResetError:
        pass
    return data
