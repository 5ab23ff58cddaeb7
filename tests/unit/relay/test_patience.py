"""Patience with clients: what they do is borne, floods are not."""

from __future__ import annotations

from edgerelay.relay.patience import BURST, BYTES_OF_ONE, PER_S, Patience

S_US = 1_000_000
NOW_US = 1_795_000_000 * S_US


def borne(patience: Patience, messages: int, size_bytes: int, now_us: int) -> int:
    return sum([patience.bears(size_bytes, now_us) for _ in range(messages)])


def test_an_update_now_and_then_is_borne_for_ever() -> None:
    patience = Patience()
    for second in range(10_000):
        assert patience.bears(100, NOW_US + second * S_US)


def test_ten_thousand_a_second_are_not() -> None:
    assert borne(Patience(), 10_000, 50, NOW_US) == BURST


def test_the_largest_message_is_borne_once() -> None:
    assert borne(Patience(), 2, 10_000_000, NOW_US) == 1
    assert borne(Patience(), 1, BURST * BYTES_OF_ONE, NOW_US) == 0


def test_it_comes_back() -> None:
    patience = Patience()
    borne(patience, BURST, 0, NOW_US)
    assert borne(patience, 3 * PER_S, 0, NOW_US + S_US) == PER_S


def test_a_clock_that_steps_back_gives_nothing_and_takes_nothing() -> None:
    patience = Patience()
    assert patience.bears(0, NOW_US)
    assert borne(patience, BURST, 0, NOW_US - 3_600 * S_US) == BURST - 1
