"""A moment on the command line: a cursor, a time, or how long ago.

1795442400000000        a cursor: unix microseconds
2026-11-23T14:00:00Z    RFC 3339, with a zone
90s, 45m, 2h, 3d        that long ago
"""

from __future__ import annotations

import argparse
import re
import time
from typing import Final

from edgerelay.archive.block import MAX_SEQ
from edgerelay.atproto.timestamp import time_us

__all__ = ["FORMS", "moment_argument", "parse_moment"]

FORMS: Final = "a cursor, an RFC 3339 time, or how long ago, as 45m or 2h or 3d"
"""For the help of commands."""

_AGO: Final = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)
_UNITS_US: Final = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


def parse_moment(text: str, now_us: int) -> int:
    """The number that a moment has, in unix microseconds. Raises `ValueError` if the text is none."""
    if text.isascii() and text.isdigit():
        number = int(text)
    elif ago := _AGO.fullmatch(text):
        number = max(0, now_us - int(ago[1]) * _UNITS_US[ago[2]])
    else:
        number = time_us(text)
        if number <= 0:
            raise ValueError(f"{text!r} is not {FORMS}")
    if number > MAX_SEQ:
        raise ValueError(f"{text!r} is beyond the last number, {MAX_SEQ}")
    return number


def moment_argument(text: str) -> int:
    """The same, as the `type` of an argument."""
    try:
        return parse_moment(text, time.time_ns() // 1_000)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
