"""A subscriber that outlives its connections, as a careful consumer does, and what it saw.

It keeps every frame and comes back with the number of the last one as its cursor. Cursors are inclusive, so the first
frame after a reconnect may be that last one again, byte for byte: this one repeat is dropped and everything else is
kept, duplicates included, for the test to find.
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import cbor2

from edgerelay_dev.network import FrameReader, StreamClosed

__all__ = ["Seen", "Subscriber", "check_arrived", "check_equal", "decode", "wait_until"]

POLL_S = 0.02
READ_LIMIT_S = 15.0
"""Silence after which a subscriber reconnects, whatever the reason."""
PAUSE_S = 0.1
"""Between two attempts to connect."""


class Seen(NamedTuple):
    """One numbered event."""

    seq: int
    kind: str
    body: dict[str, Any]
    raw: bytes

    @property
    def did(self) -> str:
        did: str = self.body["repo"] if self.kind == "#commit" else self.body["did"]
        return did

    @property
    def essence(self) -> str:
        """Names the event without the number that its sender gave it; short, so that a failure can be read."""
        content = cbor2.dumps({**self.body, "seq": 0}, canonical=True)
        return f"{self.kind} {self.did} {hashlib.sha256(content).hexdigest()[:16]}"


def decode(raw: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and body of a frame, decoded without our own code."""
    stream = io.BytesIO(raw)
    return cbor2.load(stream), cbor2.load(stream)


def seen(raw: bytes) -> Seen:
    """A frame that carries an event."""
    header, body = decode(raw)
    return Seen(body["seq"], header["t"], body, raw)


def check_equal(found: Sequence[str], expected: Sequence[str]) -> None:
    """Fail by naming the first difference, and what is missing or too much: a diff of thousands takes minutes."""
    if list(found) == list(expected):
        return
    missing = Counter(expected) - Counter(found)
    extra = Counter(found) - Counter(expected)
    first = next(
        (i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), min(len(found), len(expected))
    )
    raise AssertionError(
        f"{len(found)} events, {len(expected)} expected; differ from {first} on: {found[first : first + 3]} instead of"
        f" {expected[first : first + 3]}; {missing.total()} missing {list(missing)[:3]}, {extra.total()} too much"
        f" {list(extra)[:3]}"
    )


def check_arrived(found: Sequence[Seen], expected: Sequence[Seen]) -> None:
    """Each event came once, and those of each account in their order; accounts do not wait for each other."""
    check_equal(*([each.essence for each in sorted(some, key=lambda one: one.did)] for some in (found, expected)))


def wait_until(condition: Callable[[], bool], limit_s: float, what: str) -> None:
    """Wait for a condition, or fail by its name."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_s} s: {what}")
        time.sleep(POLL_S)


class Subscriber:
    """Reads a relay in a thread until it is left."""

    def __init__(self, ws_url: str, cursor: int | None = None, *, read_limit_s: float = READ_LIMIT_S) -> None:
        self._ws_url = ws_url
        self._first_cursor = cursor
        self._read_limit_s = read_limit_s
        self._ended = threading.Event()
        self._reader: FrameReader | None = None
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)
        self.events: list[Seen] = []
        self.infos: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self.connections = 0

    @property
    def seqs(self) -> list[int]:
        return [event.seq for event in self.events]

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self.connections > 0, READ_LIMIT_S, "the first connection of a subscriber")
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._reader is not None:
            self._reader.cut()
        self._thread.join(self._read_limit_s + READ_LIMIT_S)
        assert not self._thread.is_alive()

    def wait_for(self, count: int, limit_s: float) -> None:
        """Wait until so many events were seen."""
        try:
            wait_until(lambda: len(self.events) >= count, limit_s, f"{count} events")
        except AssertionError as error:
            error.add_note(f"there are {len(self.events)}")
            raise

    def _run(self) -> None:
        while not self._ended.is_set():
            cursor = self.events[-1].seq if self.events else self._first_cursor
            try:
                with FrameReader(self._ws_url, cursor, timeout_s=self._read_limit_s) as reader:
                    self._reader = reader
                    self.connections += 1
                    self._read(reader)
            except (OSError, StreamClosed):
                self._ended.wait(PAUSE_S)

    def _read(self, reader: FrameReader) -> None:
        is_first = True
        while not self._ended.is_set():
            raw = reader.read()
            header, body = decode(raw)
            if header["op"] != 1:
                self.errors.append(body)
            elif header["t"] == "#info":
                self.infos.append(body)
            else:
                if not (is_first and self.events and raw == self.events[-1].raw):
                    self.events.append(Seen(body["seq"], header["t"], body, raw))
                is_first = False
