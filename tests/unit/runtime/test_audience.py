"""The audience: seats are kept, and of what clients say only what matters changes anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from edgerelay.api.jetstream import MAX_MESSAGE_BYTES, Close
from edgerelay.archive.jetstream_v2 import encode_event_error, encode_event_info
from edgerelay.atproto.frames import encode_error, encode_info
from edgerelay.relay.channel import Channel, Wire
from edgerelay.relay.filters import Filter
from edgerelay.relay.patience import BURST
from edgerelay.runtime.audience import POLICY_VIOLATION, Audience
from edgerelay.runtime.seats import Seat, Seats, SeatTooLargeError
from edgerelay.runtime.sql import Sqlite

NOW_US = 1_795_000_000_000_000
PACKED = Seat("a", Channel(Wire.ZSTD_LINES, Filter(prefixes=("app.",)), 5), awaits_hello=True, cursor=-7)
FRAMES = Seat("b")
EVENTS = Seat("c", Channel(Wire.EVENTS))
PACKED_EVENTS = Seat("d", Channel(Wire.ZSTD_EVENTS))


def update(**payload: Any) -> str:
    return json.dumps({"type": "options_update", "payload": payload})


def pack(message: bytes) -> bytes:
    return b"packed " + message


@pytest.fixture
def sql() -> Iterator[Sqlite]:
    created = Sqlite()
    yield created
    created.close()


@pytest.fixture
def audience(sql: Sqlite) -> Audience:
    created = Audience(Seats(sql), pack)
    for seat in (PACKED, FRAMES):
        created.seat(seat)
    return created


def test_an_update_replaces_what_was_wanted_and_nothing_else(audience: Audience) -> None:
    wanted = audience.hear("a", update(wantedDids=["did:plc:a"], maxMessageSizeBytes=9), NOW_US)
    channel = Channel(Wire.ZSTD_LINES, Filter(dids=frozenset(["did:plc:a"])), 9)
    assert wanted == PACKED._replace(channel=channel)


def test_an_update_that_changes_nothing_is_not_written_down(audience: Audience) -> None:
    asked = update(wantedDids=["did:plc:a"])
    wanted = audience.hear("a", asked, NOW_US)
    assert isinstance(wanted, Seat)
    audience.seat(wanted._replace(awaits_hello=False))
    assert audience.hear("a", asked, NOW_US) is None
    audience.seat(wanted._replace(awaits_hello=True))
    assert isinstance(audience.hear("a", asked, NOW_US), Seat), "a hello"


def test_what_is_wrong_ends_it(audience: Audience) -> None:
    ended = audience.hear("a", "nonsense", NOW_US)
    assert isinstance(ended, Close)
    assert ended.code == 1000


@pytest.mark.parametrize(
    ("reader", "message"),
    [("a", b"nonsense"), ("a", "x" * (MAX_MESSAGE_BYTES + 1)), ("a", "{}"), ("b", "nonsense"), ("b", update())],
)
def test_everything_else_is_ignored(audience: Audience, reader: str, message: str | bytes) -> None:
    assert audience.hear(reader, message, NOW_US) is None


def test_a_flood_ends_with_whoever_makes_it(audience: Audience) -> None:
    said = [audience.hear("b", b"", NOW_US) for _ in range(BURST + 1)]
    assert said == [None] * BURST + [Close(POLICY_VIOLATION, "TooManyMessages")]
    assert audience.hear("a", "{}", NOW_US) is None
    audience.leave("b")
    audience.seat(FRAMES)
    assert audience.hear("b", b"", NOW_US) is None


def test_each_wire_has_its_own_words_and_v1_has_none(audience: Audience) -> None:
    audience.seat(EVENTS)
    audience.seat(PACKED_EVENTS)
    said = [[audience.say(reader, "Name", "why", is_error=is_error) for is_error in (True, False)] for reader in "abcd"]
    assert said == [
        [None, None],
        [encode_error("Name", "why"), encode_info("Name", "why")],
        [encode_event_error("Name", "why"), encode_event_info("Name", "why")],
        [pack(encode_event_error("Name", "why").encode()), pack(encode_event_info("Name", "why").encode())],
    ]


@pytest.mark.parametrize("message", ["{}", b"", update()])
@pytest.mark.parametrize("seat", [EVENTS, PACKED_EVENTS])
def test_on_v2_nothing_may_be_said(audience: Audience, seat: Seat, message: str | bytes) -> None:
    audience.seat(seat)
    ended = audience.hear(seat.reader, message, NOW_US)
    assert ended == Close(POLICY_VIOLATION, "clients send nothing on this stream")


def test_whoever_is_still_there_has_its_seat(sql: Sqlite, audience: Audience) -> None:
    large = PACKED._replace(channel=Channel(filter=Filter(dids=frozenset([f"did:plc:{n}" for n in range(900)]))))
    gone = large._replace(reader="gone")
    attached = {"a": audience.seat(large), "b": audience.seat(FRAMES)}
    audience.seat(gone)
    other = Audience(Seats(sql), pack)
    assert sorted(other.restore(attached)) == sorted([large, FRAMES])
    assert sql.execute("SELECT reader FROM seats") == [("a",)]
    other.leave("a")
    assert sql.execute("SELECT reader FROM seats") == []


def test_a_seat_that_is_too_large_changes_nothing(audience: Audience) -> None:
    dids = frozenset([f"did:plc:{number:0200}" for number in range(10_000)])
    with pytest.raises(SeatTooLargeError):
        audience.seat(PACKED._replace(channel=Channel(filter=Filter(dids=dids))))
    wanted = audience.hear("a", update(), NOW_US)
    assert isinstance(wanted, Seat)
    assert wanted.channel.wire is Wire.ZSTD_LINES
