"""A relay watched over HTTP and WebSockets: three loops that run side by side until they are cancelled.

What they see is handed to `observations` and `continuity`; here are only the questions, and the times they took.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import aiohttp

from edgerelay import __version__
from edgerelay.atproto.frames import MAX_FRAME_BYTES, Frame, decode_frame
from edgerelay.atproto.messages import read_seq
from edgerelay.errors import WireError
from edgerelay_dev.probe.continuity import Continuity
from edgerelay_dev.probe.observations import MAX_SAMPLES, Observations, spread, utc

__all__ = ["ProbeError", "Watch"]

SUBSCRIBE: Final = "/xrpc/com.atproto.sync.subscribeRepos"
USER_AGENT: Final = f"edgerelay-probe/{__version__}"
ANSWER_LIMIT_S: Final = 15.0
HEARTBEAT_S: Final = 20.0
"""Seconds between two pings of ours; a socket that does not answer one is dead, however quiet its stream."""
REPEAT_LIMIT_S: Final = 20.0
"""How long a second connection may take to repeat the newest events."""
RECONNECT_S: Final = 0.5
MAX_CUTS: Final = 1_000

_FAILURES: Final = (aiohttp.ClientError, OSError, TimeoutError)


class ProbeError(Exception):
    """There is nothing to watch; the message says why."""


class Watch:
    """One relay under observation; an asynchronous context manager."""

    def __init__(self, url: str, tell: Callable[[str], None]) -> None:
        """`tell` is given a line for everything that changes."""
        self._url = url.rstrip("/")
        self._tell = tell
        self._observations = Observations()
        self._stream = Continuity()
        self._cuts: list[dict[str, Any]] = []
        self._connect_ms: deque[float] = deque(maxlen=MAX_SAMPLES)
        self._checks = Continuity()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            limit = aiohttp.ClientTimeout(total=ANSWER_LIMIT_S)
            headers = {"user-agent": USER_AGENT}
            session = aiohttp.ClientSession(timeout=limit, headers=headers)
            self._http = await stack.enter_async_context(session)
            # A connection of its own for every socket, so that the time of connecting is all of it.
            fresh = aiohttp.TCPConnector(force_close=True, use_dns_cache=False)
            sockets = aiohttp.ClientSession(connector=fresh, headers=headers)
            self._sockets = await stack.enter_async_context(sockets)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def identify(self) -> None:
        """Make sure that this is a relay of ours.

        Raises:
            ProbeError: it does not answer, or is something else.
        """
        if urlsplit(self._url).scheme not in ("https", "http"):
            raise ProbeError(f"{self._url} is not a URL like https://host")
        try:
            status, info = await self._get("/")
        except (*_FAILURES, ValueError) as error:
            raise ProbeError(f"{self._url} does not answer: {_problem(error)}") from None
        if not isinstance(info, dict) or info.get("name") != "EdgeRelay":
            raise ProbeError(f"{self._url} is not EdgeRelay: GET / answered {status} {str(info)[:200]!r}")
        self._tell(f"EdgeRelay {info.get('version')}")

    async def look(self) -> None:
        """Ask for the state once."""
        before = time.monotonic()
        try:
            status, state = await self._get("/state")
        except _FAILURES as error:
            return self._no_state(_problem(error))
        if status != HTTPStatus.OK or not isinstance(state, dict):
            return self._no_state(f"/state answered {status} {str(state)[:200]!r}")
        for line in self._observations.answered(state, time.time(), (time.monotonic() - before) * 1_000):
            self._tell(line)
        return None

    def _no_state(self, problem: str) -> None:
        self._observations.failed(problem, time.time())
        self._tell(f"no state: {problem}")

    async def _get(self, path: str) -> tuple[int, Any]:
        """Status and body of an answer, decoded if it is JSON."""
        async with self._http.get(f"{self._url}{path}") as answer:
            text = await answer.text(errors="replace")
            try:
                return answer.status, json.loads(text)
            except ValueError:
                return answer.status, text

    async def look_often(self, every_s: float) -> None:
        """Ask for the state again and again."""
        while True:
            await self.look()
            await asyncio.sleep(every_s)

    async def follow(self) -> None:
        """Read the stream, and come back whenever it is cut."""
        socket = await self._connect_at_last()
        self._tell("the stream is open")
        while True:
            async with socket:
                self._stream.reconnect()
                reason = await self._read(socket, self._stream)
            ended = time.monotonic()
            cut = self._note_cut(reason)
            socket = await self._connect_at_last()
            await self._mend(cut, time.monotonic() - ended)

    async def connect_often(self, every_s: float) -> None:
        """Open a second connection from time to time, and hold what it repeats against the first."""
        while True:
            await asyncio.sleep(every_s)
            second = self._stream.second()
            try:
                async with await self._connect(second.cursor) as socket, asyncio.timeout(REPEAT_LIMIT_S):
                    if second.awaits_repeats:
                        await self._read(socket, second, only_repeats=True)
            except _FAILURES as error:
                self._observations.failed(f"a second connection: {_problem(error)}", time.time())
            self._checks.absorb(second)

    def report(self) -> dict[str, Any]:
        """What was seen, as JSON."""
        stream, checks = self._stream, self._checks
        return self._observations.report() | {
            "connect_ms": spread(self._connect_ms),
            "stream": {
                "events": stream.events,
                "last_seq": stream.last_seq,
                "whole": stream.is_whole and checks.is_whole,
                "repeats": stream.repeats,
                "lost": stream.lost,
                "missed": stream.missed,
                "disordered": stream.disordered,
                "examples": stream.examples + checks.examples,
                "cuts": self._cuts,
            },
            "history": {"repeats": checks.repeats, "lost": checks.lost, "missed": checks.missed},
        }

    async def _connect_at_last(self) -> aiohttp.ClientWebSocketResponse:
        while True:
            try:
                return await self._connect(self._stream.cursor)
            except _FAILURES as error:
                self._observations.failed(f"connecting: {_problem(error)}", time.time())
                await asyncio.sleep(RECONNECT_S)

    async def _connect(self, cursor: int | None) -> aiohttp.ClientWebSocketResponse:
        query = "" if cursor is None else f"?cursor={cursor}"
        started = time.monotonic()
        async with asyncio.timeout(ANSWER_LIMIT_S):
            socket = await self._sockets.ws_connect(
                f"{self._url}{SUBSCRIBE}{query}", heartbeat=HEARTBEAT_S, max_msg_size=MAX_FRAME_BYTES + 1
            )
        self._connect_ms.append((time.monotonic() - started) * 1_000)
        return socket

    async def _read(
        self, socket: aiohttp.ClientWebSocketResponse, stream: Continuity, *, only_repeats: bool = False
    ) -> str:
        """Read until the socket ends, and return why it did; or until everything is repeated."""
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.BINARY:
                return f"{message.type.name.lower()} {message.data}"[:200]
            try:
                frame = decode_frame(message.data, strict=False)
            except WireError as error:
                return f"a broken frame: {error}"
            if not isinstance(frame, Frame):
                return f"{frame.error}: {frame.message}"[:200]
            seq = read_seq(frame.body)
            if seq is None:
                self._tell(f"{frame.kind} {frame.body}"[:200])
                continue
            stream.take(seq)
            if only_repeats and not stream.awaits_repeats:
                return ""
        return f"closed {socket.close_code}"

    def _note_cut(self, reason: str) -> dict[str, Any]:
        self._tell(f"the stream was cut: {reason}")
        cut = {"at": utc(time.time()), "reason": reason, "before": self._observations.present}
        if len(self._cuts) < MAX_CUTS:
            self._cuts.append(cut)
        return cut

    async def _mend(self, cut: dict[str, Any], seconds: float) -> None:
        """The stream is back; which relay is it now?"""
        await self.look()
        cut |= {"back_after_s": round(seconds, 3), "after": self._observations.present}
        self._tell(f"the stream is back after {seconds:.1f} s")


def _problem(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()[:200]
