from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import parsedate_to_datetime

import pytest

from edgerelay_dev.network.server import (
    Answer,
    Hangup,
    HttpServer,
    Request,
    Response,
    Upgrade,
    error_response,
    http_date,
    json_response,
    websocket_url,
)
from edgerelay_dev.network.websocket import Socket

PATIENCE_S = 5
Ask = Callable[[bytes], Awaitable[bytes]]


class Handler:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Answer | Exception = Response(body=b"hello")
        self.date: str | None = "Thu, 01 Jan 1970 00:00:00 GMT"

    async def __call__(self, request: Request) -> Answer:
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
async def ask(handler: Handler) -> AsyncIterator[Ask]:
    """Sends bytes on a connection of their own and returns all that comes back before it is closed."""
    server = HttpServer(handler, lambda: handler.date)
    port = await server.start()

    async def send(data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        try:
            return await asyncio.wait_for(reader.read(), PATIENCE_S)
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    yield send
    await server.stop()


async def test_request_is_parsed(ask: Ask, handler: Handler) -> None:
    await ask(b"POST /a/b?x=1&y=&x=%20 HTTP/1.1\r\nConnection: close\r\nX-Odd:  v \r\nContent-Length: 4\r\n\r\nbody")
    assert handler.requests == [
        Request(
            "POST",
            "/a/b",
            {"x": " ", "y": ""},
            {"connection": "close", "x-odd": "v", "content-length": "4"},
            b"body",
        )
    ]


async def test_answer_has_date_and_length(ask: Ask) -> None:
    answer = await ask(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    head, body = answer.split(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"Date: Thu, 01 Jan 1970 00:00:00 GMT",
        b"Content-Length: 5",
        b"Connection: close",
    ]
    assert body == b"hello"


async def test_date_can_be_left_out(ask: Ask, handler: Handler) -> None:
    handler.date = None
    assert b"Date" not in await ask(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")


async def test_connection_carries_many_requests(ask: Ask, handler: Handler) -> None:
    get = b"GET / HTTP/1.1\r\n\r\n"
    answer = await ask(get + get + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert answer.count(b"200 OK") == len(handler.requests) == 3


async def test_upgrade_hands_the_socket_over_and_closes_at_the_end(ask: Ask, handler: Handler) -> None:
    async def serve(socket: Socket) -> None:
        socket.send(b"frame")
        await socket.drain()

    handler.answer = Upgrade(serve)
    answer = await ask(b"GET / HTTP/1.1\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    head, frame = answer.split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\nDate: Thu, 01 Jan 1970")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    assert frame == b"\x82\x05frame"
    assert handler.requests[0].wants_websocket


async def test_handler_can_hang_up(ask: Ask, handler: Handler) -> None:
    handler.answer = Hangup()
    assert await ask(b"GET / HTTP/1.1\r\n\r\n") == b""


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n",
        b"GET /" + b"x" * (1 << 17) + b" HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_cut_off(ask: Ask, handler: Handler, data: bytes) -> None:
    assert await ask(data) == b""
    assert handler.requests == []


async def test_stop_cuts_connections_that_are_open(handler: Handler) -> None:
    server = HttpServer(handler, lambda: None)
    reader, writer = await asyncio.open_connection("127.0.0.1", await server.start())
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"hello"), PATIENCE_S)
    await server.stop()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), PATIENCE_S)
    writer.close()


def test_json_and_errors() -> None:
    assert json.loads(json_response({"a": 1}).body) == {"a": 1}
    error = error_response(429, "RateLimitExceeded", "slow down", {"Retry-After": "3"})
    assert (error.status, json.loads(error.body)) == (429, {"error": "RateLimitExceeded", "message": "slow down"})
    assert error.headers == {"Content-Type": "application/json", "Retry-After": "3"}


async def test_statuses_without_a_name_are_possible(ask: Ask, handler: Handler) -> None:
    handler.answer = Response(status=599)
    assert (await ask(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")).startswith(b"HTTP/1.1 599 Unnamed")


def test_http_date_can_be_read_back() -> None:
    assert parsedate_to_datetime(http_date(1_795_417_429)).timestamp() == 1_795_417_429


def test_websocket_urls() -> None:
    assert websocket_url("http://localhost:1") == "ws://localhost:1"
    assert websocket_url("https://a.test") == "wss://a.test"
