"""Filters by hashes: what they hold is in order, and a union takes no other kind's place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.hash_filter import HASH_BYTES, HashFilter

hashes = st.sets(st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES), max_size=30)


@given(hashes, hashes)
def test_it_is_a_set(inside: set[bytes], others: set[bytes]) -> None:
    found = HashFilter.of_hashes(inside)
    assert [found.may_contain(each) for each in inside | others] == [each in inside for each in inside | others]
    assert (found.hash_count, found.is_well_formed()) == (len(inside), True)
    assert HashFilter.union([found, HashFilter.of_hashes(others)]) == HashFilter.of_hashes(inside | others)


@pytest.mark.parametrize("raw", [b"\0", bytes(HASH_BYTES + 1), b"\0\0\0\2\0\0\0\1", b"\0\0\0\1\0\0\0\1"])
def test_what_is_not_in_order_is_not_well_formed(raw: bytes) -> None:
    assert not HashFilter(raw).is_well_formed()
