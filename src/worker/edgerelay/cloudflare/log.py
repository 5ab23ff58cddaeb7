"""The structured log: one JSON object a line on the console, which the platform collects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import js

__all__ = ["JsonLog"]

_LEVELS: Final = ("debug", "info", "warning", "error")


class JsonLog:
    """Writes lines of a level or above."""

    def __init__(self, component: str, level: str) -> None:
        self._component = component
        self._wanted = frozenset(_LEVELS[_LEVELS.index(level) :])

    def write(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        """Write one line."""
        if level not in self._wanted:
            return
        line = json.dumps({"level": level, "component": self._component, "event": event, **fields}, default=str)
        (js.console.error if level == "error" else js.console.log)(line)
