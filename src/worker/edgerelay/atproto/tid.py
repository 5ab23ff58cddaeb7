"""Timestamp identifiers as clocks: the time that a `rev` claims.

Text order is numeric order, so that comparing TIDs needs nothing of this.

Spec: atproto TID.
"""

from __future__ import annotations

from typing import Final

from edgerelay.atproto.syntax import is_tid
from edgerelay.errors import WireError

__all__ = ["int_to_tid", "tid_to_int", "tid_to_us"]

_RADIX: Final = 32
_CLOCK_ID_BITS: Final = 10
_DIGITS: Final = "234567abcdefghijklmnopqrstuvwxyz"
_SHIFTS: Final = tuple(range(60, -1, -5))
"""Where each of the thirteen digits stands in the number."""

_TO_BASE32HEX: Final = str.maketrans(_DIGITS, "0123456789abcdefghijklmnopqrstuv")
"""From the sortable alphabet to the digits that `int` reads."""


def tid_to_us(tid: str) -> int:
    """Read the unix time in microseconds out of a TID."""
    if not is_tid(tid):
        raise WireError("not a TID")
    return tid_to_int(tid) >> _CLOCK_ID_BITS


def tid_to_int(tid: str) -> int:
    """Read the 64-bit number that a text known to be a TID writes."""
    return int(tid.translate(_TO_BASE32HEX), _RADIX)


def int_to_tid(number: int) -> str:
    """Write a number that `tid_to_int` gave as a TID."""
    return "".join([_DIGITS[number >> shift & _RADIX - 1] for shift in _SHIFTS])
