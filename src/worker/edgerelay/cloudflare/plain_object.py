"""Dictionaries of Python as plain objects of JavaScript: what options are on the platform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import js
from pyodide.ffi import to_js

__all__ = ["plain_object"]


def plain_object(value: Mapping[str, Any]) -> Any:
    """The object, and those in it; without being asked, Pyodide would make a `Map`."""
    return to_js(value, dict_converter=js.Object.fromEntries)
