"""Which of the platform's regions lies near somebody, by what the platform tells of a request.

The names are those that it takes as a hint where to make an object. A hint is all it is: an object stays where it was
first made.
"""

from __future__ import annotations

from typing import Final

__all__ = ["region_near"]

_WHOLE: Final = {"AF": "afr", "OC": "oc", "SA": "sam"}

_HALVES: Final = {"NA": (-100.0, "wnam", "enam"), "EU": (15.0, "weur", "eeur"), "AS": (60.0, "me", "apac")}
"""Degrees of longitude at which a continent is parted, roughly where fewest people live, and its two halves."""


def region_near(continent: str, longitude: str) -> str:
    """The region for a continent (two letters) and a longitude in degrees; empty if there is none.

    Without a longitude it is the eastern half.
    """
    if continent not in _HALVES:
        return _WHOLE.get(continent, "")
    border, west, east = _HALVES[continent]
    try:
        return west if float(longitude) < border else east
    except ValueError:
        return east
