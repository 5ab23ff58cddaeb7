"""A small HTTP/1.1 server: requests in, answers or WebSockets out.

Every answer, the 101 of an upgrade included, carries the `Date` that its owner wants told.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from edgerelay_dev.network.websocket import Socket, accept_key

__all__ = [
    "Answer",
    "Hangup",
    "HttpServer",
    "Request",
    "Response",
    "Upgrade",
    "error_response",
    "http_date",
    "json_response",
    "websocket_url",
]

_LISTEN_ADDRESS: Final = "127.0.0.1"
_MAX_HEAD_BYTES: Final = 1 << 16
_MAX_BODY_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked; header names are in lower case, the last of repeated parameters wins."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def wants_websocket(self) -> bool:
        """Whether this is a handshake."""
        return self.headers.get("upgrade", "").lower() == "websocket" and "sec-websocket-key" in self.headers


@dataclass(frozen=True, slots=True)
class Response:
    """An ordinary answer."""

    status: int = HTTPStatus.OK
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Accept the handshake, then let `serve` have the socket until it returns or the client leaves."""

    serve: Callable[[Socket], Awaitable[None]]


class Hangup(Exception):
    """Raised by a handler that wants the connection cut without an answer."""


Answer = Response | Upgrade
Handler = Callable[[Request], Awaitable[Answer]]


def json_response(
    value: Any, status: int = HTTPStatus.OK, content_type: str = "application/json", **headers: str
) -> Response:
    """Answer with JSON."""
    return Response(status, json.dumps(value).encode(), {"Content-Type": content_type, **headers})


def error_response(status: int, name: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with an XRPC error body."""
    body = json.dumps({"error": name, "message": message}).encode()
    return Response(status, body, {"Content-Type": "application/json", **(headers or {})})


def http_date(now_s: float) -> str:
    """Write a unix time for a `Date` header."""
    return formatdate(now_s, usegmt=True)


def websocket_url(url: str) -> str:
    """Write an http URL as the ws URL of the same place."""
    return "ws" + url.removeprefix("http")


class HttpServer:
    """Listens on loopback and hands each request to one handler."""

    def __init__(self, handler: Handler, date: Callable[[], str | None]) -> None:
        self._handler = handler
        self._date = date
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self, port: int = 0) -> int:
        """Listen on a port, or a free one; returns which."""
        self._server = await asyncio.start_server(self._accept, _LISTEN_ADDRESS, port, limit=_MAX_HEAD_BYTES)
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        assert self._server is not None
        self._server.close()
        open_connections = list(self._connections)
        for task, writer in self._connections.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*open_connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, Hangup):
            writer.transport.abort()
        except asyncio.CancelledError:
            # Only `stop` cancels, and it aborts the transport itself; asyncio's own callback would log this.
            pass
        finally:
            del self._connections[task]
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; tells whether the connection may carry another."""
        request = await _read_request(reader)
        if request is None:
            return False
        answer = await self._handler(request)
        if isinstance(answer, Upgrade):
            await self._upgrade(request, answer, Socket(reader, writer))
            return False
        keep = request.headers.get("connection", "").lower() != "close"
        headers = {"Content-Length": str(len(answer.body)), "Connection": "keep-alive" if keep else "close"}
        writer.write(self._head(answer.status, {**headers, **answer.headers}) + answer.body)
        await writer.drain()
        return keep

    async def _upgrade(self, request: Request, answer: Upgrade, socket: Socket) -> None:
        accept = accept_key(request.headers["sec-websocket-key"])
        headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept}
        socket.write(self._head(HTTPStatus.SWITCHING_PROTOCOLS, headers))
        serving = asyncio.ensure_future(answer.serve(socket))
        listening = asyncio.ensure_future(socket.listen())
        try:
            await asyncio.wait((serving, listening), return_when=asyncio.FIRST_COMPLETED)
        finally:
            serving.cancel()
            listening.cancel()
            outcome = await asyncio.gather(serving, listening, return_exceptions=True)
        for error in outcome:
            if isinstance(error, Exception) and not isinstance(error, ConnectionError):
                raise error

    def _head(self, status: int, headers: Mapping[str, str]) -> bytes:
        date = self._date()
        dated = headers if date is None else {"Date": date, **headers}
        lines = [f"HTTP/1.1 {status} {_phrase(status)}", *(f"{name}: {value}" for name, value in dated.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1")


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != len(("method", "target", "version")):
        raise Hangup
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    length = int(headers.get("content-length", "0"))
    if length > _MAX_BODY_BYTES:
        raise Hangup
    target = urlsplit(parts[1])
    query = dict(parse_qsl(target.query, keep_blank_values=True))
    return Request(parts[0], target.path, query, headers, await reader.readexactly(length))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unnamed"
