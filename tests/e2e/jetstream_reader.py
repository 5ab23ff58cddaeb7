"""A client of Jetstream v1 that outlives its connections, as clients do, and the lines that it must see.

It comes back with the `time_us` of the last line as its cursor. Cursors are inclusive, so the first line after a
reconnect may be that last one again; this one repeat is dropped and everything else is kept.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self
from urllib.parse import urlencode

import zstandard
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from edgerelay_dev.offline.checkout import Checkout
from tests.e2e.relays import Relay
from tests.e2e.subscriber import PAUSE_S, Seen, check_equal, wait_until
from tests.oracle import jetstream

__all__ = ["LIMIT_S", "LineReader", "check_lines", "lines_of", "open_stream", "query_of", "read_lines", "unpack"]

LIMIT_S = 30.0
DICTIONARY = "src/worker/edgerelay/cloudflare/jetstream_v1.zdict"

Query = Sequence[tuple[str, object]]

_addresses = itertools.count(1)


def query_of(**parameters: Any) -> Query:
    """Parameters of a URL; a list stands for several of one name."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in parameters.items()}
    return [(name, each) for name, values in lists.items() for each in values if each is not None]


def open_stream(
    relay: Relay, query: Query = (), path: str = "/subscribe", protocol: str = "", **headers: str
) -> ClientConnection:
    """Connect, from an address of its own: how many one address may make is limited."""
    url = f"{relay.worker_url.replace('http', 'ws', 1)}{path}?{urlencode(query)}"
    number = next(_addresses)
    own = {"CF-Connecting-IP": f"192.0.{number // 250}.{number % 250 + 1}", **headers}
    protocols = [Subprotocol(protocol)] if protocol else None
    return connect(
        url, additional_headers=own, subprotocols=protocols, max_size=None, max_queue=None, open_timeout=LIMIT_S
    )


def lines_of(events: Iterable[Seen]) -> list[str]:
    """The lines of events, by the twin of our own code."""
    return [line for event in events for line in jetstream.lines(event.raw) if line]


def read_lines(relay: Relay, count: int, query: Query = (), path: str = "/subscribe", **headers: str) -> list[str]:
    """The first so many lines."""
    with open_stream(relay, query, path, **headers) as stream:
        return [unpack(stream.recv(LIMIT_S)) for _ in range(count)]


def unpack(message: str | bytes, dictionary: bytes = b"") -> str:
    """A message as it was before it was packed, if it was; with the dictionary of the checkout, or another one."""
    if isinstance(message, str):
        return message
    assert zstandard.get_frame_parameters(message).content_size < zstandard.CONTENTSIZE_UNKNOWN
    data = dictionary or (Checkout.of_this_file().root / DICTIONARY).read_bytes()
    return zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(data)).decompress(message).decode()


def check_lines(found: Sequence[str], expected: Sequence[str]) -> None:
    """Compare, and name a difference in a few words."""
    shortened = [[f"{json.loads(line)['time_us']} {hash(line)}" for line in lines] for lines in (found, expected)]
    check_equal(*shortened)
    assert list(found) == list(expected)


class LineReader:
    """Reads a relay in a thread until it is left."""

    def __init__(
        self, relay: Relay, query: Query = (), cursor: int | None = None, hello: Callable[[], str] | None = None
    ) -> None:
        self._relay = relay
        self._query = list(query)
        self._cursor = cursor
        self._hello = hello
        self._ended = threading.Event()
        self._stream: ClientConnection | None = None
        self._thread = threading.Thread(target=self._run, name="line reader", daemon=True)
        self.lines: list[str] = []
        self.connections = 0

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self.connections > 0, LIMIT_S, "the first connection of a line reader")
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._stream is not None:
            self._stream.close()
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()

    def wait_for(self, count: int, limit_s: float = LIMIT_S) -> None:
        """Wait until so many lines were seen."""
        wait_until(lambda: len(self.lines) >= count, limit_s, f"{count} lines")

    def _run(self) -> None:
        while not self._ended.is_set():
            cursor = json.loads(self.lines[-1])["time_us"] if self.lines else self._cursor
            try:
                with open_stream(self._relay, [*self._query, *query_of(cursor=cursor)]) as stream:
                    self._stream = stream
                    if self._hello is not None:
                        stream.send(self._hello())
                    self.connections += 1
                    self._read(stream)
            except (ConnectionClosed, InvalidHandshake, OSError):
                self._ended.wait(PAUSE_S)

    def _read(self, stream: ClientConnection) -> None:
        is_first = True
        for message in stream:
            line = unpack(message)
            if not (is_first and self.lines and line == self.lines[-1]):
                self.lines.append(line)
            is_first = False
