"""Seats: what a subscriber gets is the same before and after its shard has slept."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.api.subscription import Subscription
from edgerelay.archive.batch import KINDS
from edgerelay.relay.channel import FIREHOSE, Channel, Wire
from edgerelay.relay.cursor import Start, Window
from edgerelay.relay.filters import Filter
from edgerelay.runtime.seats import (
    ATTACHED_BYTES,
    MAX_SEAT_BYTES,
    STORED_BYTES,
    Seat,
    Seats,
    SeatTooLargeError,
)
from edgerelay.runtime.sql import Sqlite

READER = "0123456789abcdef0123456789abcdef"
OTHER = READER[::-1]


def large(reader: str, dids: int) -> Seat:
    return Seat(reader, Channel(filter=Filter(dids=frozenset([f"did:plc:{number:024}" for number in range(dids)]))))


@pytest.fixture
def sql() -> Iterator[Sqlite]:
    created = Sqlite()
    yield created
    created.close()


def stored(sql: Sqlite) -> list[str]:
    return [str(row[0]) for row in sql.execute("SELECT reader FROM seats ORDER BY reader")]


FILTERS = st.builds(
    Filter,
    st.frozensets(st.sampled_from(KINDS)),
    st.frozensets(st.text(max_size=10), max_size=3),
    st.frozensets(st.text(max_size=10), max_size=3),
    st.lists(st.text(max_size=5), max_size=3, unique=True).map(lambda names: tuple(sorted(names))),
)
SEATS = st.builds(
    Seat,
    st.just(READER),
    st.builds(Channel, st.sampled_from(Wire), FILTERS, st.integers(0, 2**32 - 1)),
    st.integers(0, 2**53),
    st.booleans(),
    st.none() | st.integers(-(2**63), 2**63 - 1),
)


@given(SEATS)
def test_a_seat_comes_back(seat: Seat) -> None:
    sql = Sqlite()
    attached = Seats(sql).keep(seat)
    assert len(json.dumps(attached)) <= ATTACHED_BYTES
    assert Seats(sql).recall(READER, attached) == seat
    sql.close()


@pytest.mark.parametrize("dids", [10, 10_000])
def test_however_large_it_is(sql: Sqlite, dids: int) -> None:
    seat = large(READER, dids)
    attached = Seats(sql).keep(seat)
    assert len(attached) <= ATTACHED_BYTES
    assert Seats(sql).recall(READER, attached) == seat
    assert stored(sql) == ([READER] if dids > 50 else [])


@pytest.mark.parametrize("prefix", ["\\" * 570, '"' * 570, "\u1234" * 190])
def test_what_is_longer_within_json_is_stored(sql: Sqlite, prefix: str) -> None:
    seat = Seat(READER, Channel(Wire.LINES, Filter(prefixes=(prefix,))))
    assert (Seats(sql).keep(seat), stored(sql)) == ("", [READER])
    assert Seats(sql).recall(READER, "") == seat


def test_a_socket_from_before_there_were_seats_has_the_firehose(sql: Sqlite) -> None:
    assert Seats(sql).recall(READER, "") == Seat(READER, FIREHOSE)


def test_what_is_stored_goes_with_its_subscriber_and_when_it_shrinks(sql: Sqlite) -> None:
    seats = Seats(sql)
    for reader in (READER, OTHER):
        seats.keep(large(reader, 100))
    seats.forget(OTHER)
    seats.forget(OTHER)
    assert stored(sql) == [READER]
    seats.keep(large(READER, 200))
    assert seats.recall(READER, "") == large(READER, 200)
    seats.keep(large(READER, 1))
    assert stored(sql) == []


def test_what_those_left_behind_who_went_without_a_word_is_taken_away(sql: Sqlite) -> None:
    for reader in (READER, OTHER):
        Seats(sql).keep(large(reader, 100))
    Seats(sql).forget_others([OTHER, "somebody"])
    assert stored(sql) == [OTHER]


def test_there_are_bounds_and_who_exceeds_them_keeps_the_seat_it_has(sql: Sqlite) -> None:
    seats, of_many = Seats(sql), large(READER, 50_000)
    size_bytes = 50_000 * len('"did:plc:000000000000000000000000",')
    assert STORED_BYTES // size_bytes == 4
    for number in range(4):
        seats.keep(of_many._replace(reader=f"{number:032}"))
    small = large(READER, 10)
    seats.keep(small)
    with pytest.raises(SeatTooLargeError):
        Seats(sql).keep(of_many)
    seats.keep(of_many._replace(reader=f"{3:032}"))
    seats.forget(f"{3:032}")
    attached = seats.keep(of_many)
    with pytest.raises(SeatTooLargeError, match="bytes"):
        seats.keep(large(READER, MAX_SEAT_BYTES // 30))
    assert seats.recall(READER, attached) == of_many


def test_who_awaits_a_hello_begins_with_it() -> None:
    start, asked = Start(7, strict=True), Subscription(5, Channel(Wire.LINES), awaits_hello=True)
    waiting = Seat.of(READER, asked, start)
    assert (waiting.awaits_hello, waiting.first_number, waiting.cursor) == (True, 0, 5)
    begun = Seat.of(READER, asked._replace(awaits_hello=False), start)
    assert waiting.after_hello(start) == begun
    assert (begun.awaits_hello, begun.first_number) == (False, 7)
    assert begun.after_hello(Start(None)).first_number == 0


def test_who_is_live_although_its_cursor_lies_in_the_future_waits_for_nothing_when_the_shard_has_slept() -> None:
    asked, now_us = Subscription(2**52, Channel(Wire.LINES)), 1_795_000_000_000_000
    start = asked.start(Window(0, 0), last_seq=now_us, now_us=now_us)
    assert (start.future, Seat.of(READER, asked, start).first_number) == (True, 0)
