"""When a group is due: by its size, its age and the hour; and the pauses after failures."""

from __future__ import annotations

import pytest

from edgerelay.archive.cutting import HOUR_US
from edgerelay.relay.sealing import RETRY_CAP_US, RETRY_US, Sealing, SealPolicy

S_US = 1_000_000
NOON = 500_000 * HOUR_US
POLICY = SealPolicy(group_bytes=1_000, seal_us=60 * S_US)


@pytest.mark.parametrize(
    ("first_seq", "waiting_bytes", "now_us", "is_due"),
    [
        pytest.param(0, 0, NOON, False, id="nothing"),
        pytest.param(NOON, 999, NOON + 59 * S_US, False, id="little and young"),
        pytest.param(NOON, 1_000, NOON, True, id="full"),
        pytest.param(NOON, 1, NOON + 60 * S_US, True, id="old"),
        pytest.param(NOON - 1, 1, NOON, True, id="of the hour before"),
        pytest.param(NOON + HOUR_US, 1, NOON, False, id="numbers before the clock"),
        pytest.param(NOON + HOUR_US, 1_000, NOON, True, id="many numbers before the clock"),
    ],
)
def test_due(first_seq: int, waiting_bytes: int, now_us: int, is_due: bool) -> None:
    assert Sealing(POLICY).is_due(first_seq, waiting_bytes, now_us) is is_due


def pause_us(sealing: Sealing, now_us: int) -> int:
    """How long nothing is due."""
    return next(after for after in range(0, 2 * RETRY_CAP_US, S_US) if sealing.is_due(now_us, 1_000, now_us + after))


def test_pauses_grow_to_a_limit_and_begin_small_again() -> None:
    sealing, pauses = Sealing(POLICY), []
    for _ in range(12):
        sealing.failed(NOON)
        pauses.append(pause_us(sealing, NOON))
    assert pauses == [RETRY_US, 2 * RETRY_US, 4 * RETRY_US, 8 * RETRY_US, *[RETRY_CAP_US] * 8]
    sealing.stored()
    assert pause_us(sealing, NOON) == 0
    sealing.failed(NOON)
    assert pause_us(sealing, NOON) == RETRY_US


def test_a_clock_that_was_set_back_does_not_make_the_pause_long() -> None:
    sealing = Sealing(POLICY)
    sealing.failed(NOON + HOUR_US)
    assert sealing.is_due(NOON, 1_000, NOON)
