"""Pages of changes of what replay leaves out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.hiding import (
    CHANGE_BYTES,
    HidingError,
    Visibility,
    VisibilityChange,
    decode_changes,
    encode_changes,
)
from edgerelay.archive.record_run import KEY_BYTES

CHANGES = st.builds(
    VisibilityChange,
    st.integers(0, 2**53 - 1),
    st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES),
    st.sampled_from(Visibility),
)


@given(st.lists(CHANGES))
def test_changes_come_back(changes: list[VisibilityChange]) -> None:
    page = encode_changes(changes)
    assert decode_changes(page) == changes
    assert len(page) == 1 + len(changes) * CHANGE_BYTES


def test_the_layout_stays() -> None:
    change = VisibilityChange(0x0102, bytes(range(KEY_BYTES)), Visibility.TAKEN_DOWN_HERE)
    assert encode_changes([change]).hex() == "010000000000000102000102030405060708090a0b0c0d0e0f03"


@pytest.mark.parametrize("page", ["", "00", "02", "0100", "01" + 24 * "00" + "04"])
def test_what_is_no_page_is_named(page: str) -> None:
    with pytest.raises(HidingError):
        decode_changes(bytes.fromhex(page))
