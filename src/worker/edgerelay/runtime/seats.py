"""What of a subscriber outlives the memory of its shard: the stream that it gets, and whether it gets it already.

A seat is written down as a text that is attached to the subscriber's socket. One that is too long for that is stored in
the shard's database, and what is attached is empty; it is taken away with its subscriber.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Self

from edgerelay.api.subscription import Subscription
from edgerelay.relay.channel import FIREHOSE, Channel, Wire
from edgerelay.relay.cursor import Start
from edgerelay.relay.filters import Filter
from edgerelay.runtime.sql import Sql

__all__ = ["MAX_SEAT_BYTES", "STORED_BYTES", "Seat", "SeatTooLargeError", "Seats"]

ATTACHED_BYTES: Final = 1_300
"""Of a text that is attached to a socket, as a text within JSON: with everything else that is known of the reader, some
runtimes take 2,048 bytes, others 16,384."""

MAX_SEAT_BYTES: Final = 1_900_000
"""Of a text: what a row can hold. 10,000 accounts of the PLC directory take 350,000."""

STORED_BYTES: Final = 8_000_000
"""Of all texts that are stored: in memory, these filters take about four times as much."""

_VERSION: Final = 1


class SeatTooLargeError(ValueError):
    """What a subscriber asks for is larger than what can be kept of it, or of all of them."""


class Seat(NamedTuple):
    """One subscriber."""

    reader: str
    channel: Channel = FIREHOSE
    first_number: int = 0
    """No message with a smaller one is wanted."""

    awaits_hello: bool = False
    cursor: int | None = None
    """Where to begin when the hello comes."""

    @classmethod
    def of(cls, reader: str, asked: Subscription, start: Start) -> Self:
        """The seat of a reader that has just come."""
        waiting = cls(reader, asked.channel, 0, True, asked.cursor)
        return waiting if asked.awaits_hello else waiting.after_hello(start)

    def after_hello(self, start: Start) -> Self:
        """The same when it begins. One that is live although its cursor lies in the future waits for nothing."""
        first_number = 0 if start.live_if_future else start.cursor or 0
        return self._replace(first_number=first_number, awaits_hello=False)


class Seats:
    """The seats of a shard that are too large for their sockets."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        sql.execute("CREATE TABLE IF NOT EXISTS seats (reader TEXT PRIMARY KEY, seat TEXT NOT NULL) WITHOUT ROWID")
        rows = sql.execute("SELECT reader, length(seat) FROM seats")
        self._stored_bytes = {str(reader): int(size or 0) for reader, size in rows}

    def keep(self, seat: Seat) -> str:
        """Write a seat down; returns what is to be attached to its socket.

        Raises:
            SeatTooLargeError: the subscriber's former seat still holds.
        """
        text = _encode(seat)
        size_bytes = len(text)
        if len(json.dumps(text)) <= ATTACHED_BYTES:
            self.forget(seat.reader)
            return text
        others_bytes = sum(self._stored_bytes.values()) - self._stored_bytes.get(seat.reader, 0)
        if size_bytes > MAX_SEAT_BYTES or others_bytes + size_bytes > STORED_BYTES:
            raise SeatTooLargeError(f"{size_bytes} bytes of options")
        self._sql.execute("INSERT OR REPLACE INTO seats VALUES (?, ?)", seat.reader, text)
        self._stored_bytes[seat.reader] = size_bytes
        return ""

    def recall(self, reader: str, attached: str) -> Seat:
        """The seat of a socket. One of which nothing is known has the whole firehose: so it was before there were
        seats."""
        if attached:
            return _decode(reader, attached)
        rows = self._sql.execute("SELECT seat FROM seats WHERE reader = ?", reader)
        return _decode(reader, str(rows[0][0])) if rows else Seat(reader)

    def forget(self, reader: str) -> None:
        """A subscriber is gone, or its seat fits its socket now."""
        if self._stored_bytes.pop(reader, None) is not None:
            self._sql.execute("DELETE FROM seats WHERE reader = ?", reader)

    def forget_others(self, readers: Iterable[str]) -> None:
        """Only these subscribers are still there: some went without a word."""
        for reader in set(self._stored_bytes) - set(readers):
            self.forget(reader)


def _encode(seat: Seat) -> str:
    wire, wanted, max_bytes = seat.channel
    fields: dict[str, Any] = {"v": _VERSION, "wire": str(wire), "max_bytes": max_bytes}
    fields |= {"first": seat.first_number, "hello": seat.awaits_hello, "cursor": seat.cursor}
    fields |= {name: sorted(values) for name, values in wanted._asdict().items()}
    return json.dumps(fields, separators=(",", ":"))


def _decode(reader: str, text: str) -> Seat:
    fields = json.loads(text)
    wanted = Filter(
        frozenset(fields["kinds"]),
        frozenset(fields["dids"]),
        frozenset(fields["collections"]),
        tuple(fields["prefixes"]),
    )
    channel = Channel(Wire(fields["wire"]), wanted, fields["max_bytes"])
    return Seat(reader, channel, fields["first"], fields["hello"], fields["cursor"])
