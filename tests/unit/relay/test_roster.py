"""The roster: who may come in, what is known of who is there, and why each of them left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.relay.meter import SPAN_US
from edgerelay.relay.roster import Admission, Ending, Reader, Refusal, Roster

NOW_US = 1_795_000_000_000_000
ADMISSION = Admission(clients=4, behind=3, per_address=2, deliveries_per_s=1_000)


def reader(address: str = "192.0.2.1") -> Reader:
    return Reader(address, "a client", "firehose", None, NOW_US)


def roster(*addresses: str) -> Roster:
    filled = Roster(ADMISSION)
    for number, address in enumerate(addresses):
        filled.enter(f"reader {number}", reader(address))
    return filled


def refused(found: Refusal | None) -> tuple[Ending, bool] | None:
    return found and (found.ending, found.is_final)


class TestAdmission:
    def test_there_is_room(self) -> None:
        assert roster("a", "b", "c").refuse("a", 2, NOW_US) is None

    def test_too_many_readers(self) -> None:
        assert refused(roster("a", "b", "c", "d").refuse("e", 0, NOW_US)) == (Ending.REFUSED_FULL, False)

    def test_too_many_of_them_behind(self) -> None:
        assert refused(roster("a", "b", "c").refuse("e", 3, NOW_US)) == (Ending.REFUSED_FULL, False)

    def test_too_many_of_one_address_is_its_own_doing(self) -> None:
        assert refused(roster("a", "a").refuse("a", 0, NOW_US)) == (Ending.REFUSED_ADDRESS, True)
        assert roster("a", "a").refuse("b", 0, NOW_US) is None

    @pytest.mark.parametrize(("events", "ending"), [(1_999, None), (2_000, (Ending.REFUSED_BUSY, False))])
    def test_too_many_deliveries(self, events: int, ending: tuple[Ending, bool] | None) -> None:
        busy = roster("a")
        assert busy.refuse("b", 0, NOW_US) is None
        busy.sent("reader 0", events, 10)
        assert refused(busy.refuse("b", 0, NOW_US + SPAN_US)) == ending

    def test_who_left_makes_room(self) -> None:
        filled = roster("a", "a")
        filled.leave("reader 0", Ending.GONE)
        assert filled.refuse("a", 0, NOW_US) is None


class TestReaders:
    def test_what_is_known_of_one_that_leaves(self) -> None:
        filled = roster("a")
        filled.sent("reader 0", 3, 300)
        filled.sent("reader 0", 1, 50)
        left = filled.leave("reader 0", Ending.TOO_SLOW)
        assert left is not None
        assert (left.events, left.bytes, left.seconds(NOW_US + 2_500_000)) == (4, 350, 2)
        assert (filled.deliveries, len(filled)) == (4, 0)

    def test_a_clock_that_was_set_back(self) -> None:
        assert reader().seconds(NOW_US - 5_000_000) == 0

    def test_nobody_leaves_twice(self) -> None:
        filled = roster("a")
        filled.leave("reader 0", Ending.TOO_SLOW)
        assert filled.leave("reader 0", Ending.GONE) is None
        assert filled.take_endings() == {"too_slow": 1}


class TestEndings:
    def test_they_are_told_once(self) -> None:
        filled = roster("a", "a", "b")
        filled.leave("reader 0", Ending.GONE)
        filled.leave("reader 2", Ending.GONE)
        filled.enter("reader 4", reader("a"))
        filled.refuse("a", 0, NOW_US)
        assert filled.take_endings() == {"gone": 2, "refused_address": 1}
        assert filled.take_endings() == {}


def test_the_load_has_everything_and_endings_once() -> None:
    filled = roster("a", "b")
    filled.sent("reader 0", 4, 350)
    filled.leave("reader 1", Ending.GONE)
    load = filled.load(1, 9, NOW_US + SPAN_US)
    assert (load.behind, load.deliveries, load.prepared, load.endings) == (1, 4, 9, {"gone": 1})
    assert load.deliveries_per_s == filled.deliveries_per_s(NOW_US + SPAN_US)
    assert filled.load(1, 9, NOW_US + SPAN_US).endings == {}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.sampled_from("ab"))))
def test_addresses_are_counted_as_a_list_of_all_readers_would(steps: list[tuple[bool, int, str]]) -> None:
    counted, readers = Roster(ADMISSION._replace(clients=100)), dict[str, str]()
    for enters, number, address in steps:
        name = f"reader {number}"
        if enters and name not in readers:
            counted.enter(name, reader(address))
            readers[name] = address
        elif not enters:
            counted.leave(name, Ending.GONE)
            readers.pop(name, None)
        for each in "ab":
            assert (counted.refuse(each, 0, NOW_US) is None) == (list(readers.values()).count(each) < 2)
