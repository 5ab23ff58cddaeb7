"""Room in sockets: those who take nothing never hold much together, and never slow down those who take everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.relay.room import (
    CALM_BYTES,
    EMPTY_BYTES,
    MOST_UNSENT_BYTES,
    PARTS_LEFT,
    SHARED_UNSENT_BYTES,
    Room,
)

UNSENT_BYTES = 512_000
MANY = 10**9
"""So many sockets that there is no even share."""


def room(count: int, unsent_bytes: int = UNSENT_BYTES, behind_bytes: int = 0) -> Room:
    made = Room(unsent_bytes, SHARED_UNSENT_BYTES)
    made.resize(count)
    made.behind(0, behind_bytes)
    return made


class TestOneSocket:
    @pytest.mark.parametrize(
        ("count", "calm_bytes", "crowded_bytes"),
        [
            (0, 4_000_000, 4_000_000),
            (1, 4_000_000, 4_000_000),
            (6, 666_666, 666_666),
            (8, 512_000, 512_000),
            (46, 512_000, 512_000),
            (48, 500_000, 500_000),
            (100, 500_000, 240_000),
            (1_000, 500_000, 24_000),
        ],
    )
    def test_few_have_more_and_many_have_less(self, count: int, calm_bytes: int, crowded_bytes: int) -> None:
        assert room(count).bytes_for(1) == calm_bytes
        assert room(count, behind_bytes=CALM_BYTES).bytes_for(1) == crowded_bytes

    @pytest.mark.parametrize(
        ("behind_bytes", "room_bytes"),
        [(0, 500_000), (CALM_BYTES // 2, 250_000), (CALM_BYTES - 800_000, 50_000), (CALM_BYTES, 24_000)],
    )
    def test_the_more_waits_elsewhere_the_less_it_has(self, behind_bytes: int, room_bytes: int) -> None:
        assert room(1_000, behind_bytes=behind_bytes).bytes_for(1) == room_bytes

    def test_what_live_ones_hold_counts_as_well(self) -> None:
        made = room(1_000)
        made.begin_batch()
        for _ in range(10):
            assert made.takes(200_000, 200_000)
        assert made.bytes_for(1) == (CALM_BYTES - 4_000_000) // PARTS_LEFT

    @pytest.mark.parametrize("behind_bytes", [0, CALM_BYTES, MOST_UNSENT_BYTES - EMPTY_BYTES])
    def test_an_empty_one_gets_enough_however_much_stalled_ones_hold(self, behind_bytes: int) -> None:
        assert room(10_000, behind_bytes=behind_bytes).bytes_for(0) >= EMPTY_BYTES
        assert room(10_000, behind_bytes=behind_bytes).takes(0, EMPTY_BYTES)

    def test_there_is_an_end_to_that(self) -> None:
        full = room(10_000, behind_bytes=MOST_UNSENT_BYTES - EMPTY_BYTES + 1)
        assert full.bytes_for(0) == MOST_UNSENT_BYTES // 10_000
        assert not full.takes(0, EMPTY_BYTES)

    def test_one_that_is_not_empty_gets_its_even_share_only(self) -> None:
        assert room(10_000, behind_bytes=CALM_BYTES).bytes_for(1) == MOST_UNSENT_BYTES // 10_000
        assert not room(10_000, behind_bytes=CALM_BYTES).takes(1, MOST_UNSENT_BYTES // 10_000 + 1)

    def test_nobody_has_more_than_the_setting_says_if_they_are_many(self) -> None:
        assert room(100, unsent_bytes=64_000).bytes_for(1) == 64_000
        assert room(100, unsent_bytes=10_000).bytes_for(0) == 40_000


class TestLive:
    def test_a_batch_goes_to_all_as_long_as_it_is_calm(self) -> None:
        made, size_bytes = room(100), 1_000_000
        made.begin_batch()
        assert [made.takes(0, size_bytes) for _ in range(9)] == [True] * 8 + [False]

    def test_whoever_takes_everything_stays_live_beside_those_who_take_nothing(self) -> None:
        made = room(1_000, behind_bytes=20_000_000)
        for _ in range(100):
            made.begin_batch()
            for _ in range(40):
                assert made.takes(0, EMPTY_BYTES)

    def test_one_that_got_nothing_counts_for_nothing(self) -> None:
        made = room(MANY)
        assert not made.takes(UNSENT_BYTES, 1)
        assert seen_bytes(made) == 0

    def test_what_waited_after_the_batch_before_waits_while_the_present_one_is_sent(self) -> None:
        made = room(MANY)
        seen: list[int] = []
        for sizes in ([160_000, 320_000], [16_000], [], []):
            made.begin_batch()
            for size_bytes in sizes:
                assert made.takes(0, size_bytes)
            seen.append(seen_bytes(made))
        assert seen == [480_000, 480_000, 16_000, 0]


def seen_bytes(made: Room) -> int:
    """What waits in all sockets, of many, as far as it can be told from what one may hold: up to `CALM_BYTES`."""
    return CALM_BYTES - PARTS_LEFT * made.bytes_for(1)


class Sockets:
    """The twin of a room: knows of each socket what waits there."""

    def __init__(self) -> None:
        self.behind: dict[int, int] = {}
        self.batches: list[list[int]] = [[], []]

    @property
    def all_bytes(self) -> int:
        return sum(self.behind.values()) + max(sum(each) for each in self.batches)


STEPS = st.tuples(st.sampled_from(["batch", "takes", "falls", "holds", "live", "left"]), st.integers(0, 20))


@given(st.lists(STEPS, max_size=25))
def test_it_knows_what_waits_whoever_comes_and_goes(steps: list[tuple[str, int]]) -> None:
    made, sockets = room(MANY, unsent_bytes=MANY), Sockets()
    for number, (step, parts) in enumerate(steps):
        size_bytes = PARTS_LEFT * 1_000 * parts
        first = next(iter(sockets.behind), None)
        if step == "batch":
            made.begin_batch()
            sockets.batches = [sockets.batches[1], []]
        elif step == "takes":
            if made.takes(0, size_bytes):
                sockets.batches[1].append(size_bytes)
        elif step == "falls":
            made.behind(0, size_bytes)
            sockets.behind[number] = size_bytes
        elif first is not None and step == "holds":
            made.behind(sockets.behind[first], size_bytes)
            sockets.behind[first] = size_bytes
        elif first is not None and step == "live":
            made.live(sockets.behind[first])
            sockets.batches[1].append(sockets.behind.pop(first))
        elif first is not None:
            made.behind(sockets.behind.pop(first), 0)
        assert 0 <= sockets.all_bytes <= CALM_BYTES
        assert seen_bytes(made) == sockets.all_bytes
    for waiting_bytes in sockets.behind.values():
        made.behind(waiting_bytes, 0)
    for _ in range(2):
        made.begin_batch()
    assert seen_bytes(made) == 0


def filled(made: Room, count: int, live: int, size_bytes: int, part_bytes: int) -> list[int]:
    """What each of so many holds that take nothing, when none gets any more; so many were live in the beginning.

    The live ones are sent batches of one size, and the others parts of another.
    """
    held, live_ones, behind = [0] * count, set(range(live)), set(range(live, count))
    has_moved = True
    while has_moved:
        has_moved = False
        made.begin_batch()
        for reader in sorted(live_ones):
            has_moved = True
            if made.takes(held[reader], size_bytes):
                held[reader] += size_bytes
            else:
                live_ones.remove(reader)
                behind.add(reader)
                made.behind(0, held[reader])
        for reader in sorted(behind):
            room_bytes = made.bytes_for(held[reader])
            if held[reader] <= room_bytes:
                has_moved = True
                before_bytes = held[reader]
                held[reader] += min(part_bytes, max(1, room_bytes - before_bytes))
                made.behind(before_bytes, held[reader])
    return held


@given(
    st.sampled_from([1, 7, 47, 48, 100, 375, 376, 600]),
    st.integers(20_000, 1_000_000),
    st.integers(20_000, 256_000),
    st.floats(0, 1),
)
def test_those_who_take_nothing_hold_no_more_than_there_is(
    count: int, size_bytes: int, part_bytes: int, live: float
) -> None:
    """Whether they are live or behind."""
    held = filled(room(count), count, int(live * count), size_bytes, part_bytes)
    most_bytes, all_bytes = max(held), sum(held)
    assert all_bytes <= 2 * MOST_UNSENT_BYTES
    assert most_bytes <= max(UNSENT_BYTES, SHARED_UNSENT_BYTES // count) + size_bytes


@pytest.mark.parametrize("live", [0, 1_500, 3_000])
def test_each_of_thousands_that_take_nothing_gets_something(live: int) -> None:
    held = filled(room(3_000), 3_000, live, 4_000, 256_000)
    least_bytes, all_bytes = min(held), sum(held)
    assert least_bytes >= 4_000
    assert all_bytes <= 2 * MOST_UNSENT_BYTES


@pytest.mark.parametrize("live", [0, 100, 200])
def test_hundreds_that_take_nothing_leave_enough_for_one_that_takes_everything(live: int) -> None:
    made = room(4_000)
    filled(made, 200, live, 50_000, 256_000)
    for _ in range(10):
        assert made.bytes_for(0) == EMPTY_BYTES
        made.behind(0, EMPTY_BYTES)
        made.behind(EMPTY_BYTES, 0)
        made.begin_batch()
        assert made.takes(0, EMPTY_BYTES)


def test_when_all_fall_behind_nobody_is_live() -> None:
    made = room(MANY)
    made.begin_batch()
    assert made.takes(0, 160_000)
    made.nobody_is_live()
    assert seen_bytes(made) == 0


class TestMeasured:
    """Sockets of live readers are not looked at as long as no batch has anything for them."""

    def test_what_was_measured_counts(self) -> None:
        made = room(1_000)
        made.measured(CALM_BYTES)
        assert (made.bytes_for(1), made.takes(1, 50_000)) == (24_000, False)
        made.measured(0)
        assert (made.bytes_for(1), made.takes(1, 50_000)) == (500_000, True)

    def test_what_is_known_is_not_counted_again(self) -> None:
        made = room(1_000, behind_bytes=4_000_000)
        made.measured(4_000_000)
        assert made.bytes_for(1) == 250_000

    def test_an_empty_socket_gets_enough_although_a_batch_was_just_sent(self) -> None:
        made = room(10_000)
        for _ in range(100):
            made.begin_batch()
            taken = [made.takes(0, EMPTY_BYTES) for _ in range(MOST_UNSENT_BYTES // EMPTY_BYTES)]
            assert False not in taken
