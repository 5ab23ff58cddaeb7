"""Timestamp identifiers as clocks: the time that a `rev` claims.

Text order is numeric order, so that comparing TIDs needs nothing of this.

Spec: atproto TID.
"""

from __future__ import annotations

from typing import Final

from edgerelay.atproto.syntax import is_tid
from edgerelay.errors import WireError

__all__ = ["tid_to_int", "tid_to_us"]

_RADIX: Final = 32
_CLOCK_ID_BITS: Final = 10
_TO_BASE32HEX: Final = str.maketrans("234567abcdefghijklmnopqrstuvwxyz", "0123456789abcdefghijklmnopqrstuv")
"""From the sortable alphabet to the digits that `int` reads."""


def tid_to_us(tid: str) -> int:
    """Read the unix time in microseconds out of a TID."""
    if not is_tid(tid):
        raise WireError("not a TID")
    return tid_to_int(tid) >> _CLOCK_ID_BITS


def tid_to_int(tid: str) -> int:
    """Read the 64-bit number that a text known to be a TID writes."""
    return int(tid.translate(_TO_BASE32HEX), _RADIX)
