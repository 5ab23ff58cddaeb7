"""TIDs as clocks. Spec: atproto TID."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.tid import int_to_tid, tid_to_int, tid_to_us
from edgerelay.errors import WireError

ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"
NUMBERS = st.integers(0, 2**63 - 1)


def tid(number: int) -> str:
    """Write a 64-bit number digit by digit."""
    return "".join(ALPHABET[number >> shift & 31] for shift in range(60, -1, -5))


@given(NUMBERS)
def test_number_and_time_are_read(number: int) -> None:
    assert tid_to_int(tid(number)) == number
    assert int_to_tid(number) == tid(number)
    assert tid_to_us(tid(number)) == number >> 10


@given(NUMBERS, NUMBERS)
def test_order_of_texts_is_order_of_numbers(one: int, other: int) -> None:
    assert (tid(one) < tid(other)) == (one < other)


def test_published_example_is_of_2023() -> None:
    assert tid_to_us("3jzfcijpj2z2a") == 1_688_137_381_887_007
    assert tid_to_us("222222d7n7i22") < 10**12  # a broken clock's, seen in production


@pytest.mark.parametrize("text", ["", "3jzfcijpj2z2", "3jzfcijpj2z2aa", "kjzfcijpj2z2a", "3JZFCIJPJ2Z2A", "1" * 13])
def test_what_is_no_tid_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        tid_to_us(text)
