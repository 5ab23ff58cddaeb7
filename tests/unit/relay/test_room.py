from __future__ import annotations

import pytest

from edgerelay.relay.room import MOST_UNSENT_BYTES, SHARED_UNSENT_BYTES, room_bytes, share_bytes


@pytest.mark.parametrize(
    ("count", "room"), [(0, 4_000_000), (1, 4_000_000), (8, 512_000), (31, 512_000), (100, 160_000), (1_000, 16_000)]
)
def test_few_have_more_and_many_have_less(count: int, room: int) -> None:
    assert room_bytes(count, 512_000, SHARED_UNSENT_BYTES) == room


@pytest.mark.parametrize("count", [0, 1, 16, 1_000])
def test_all_together_are_handed_no_more_than_there_is(count: int) -> None:
    assert share_bytes(count) * count <= MOST_UNSENT_BYTES
