"""What the objects of one isolate share: a name, by which they can be told, a budget of memory, and the interpreter."""

from __future__ import annotations

import uuid
from typing import Any

import js

from edgerelay.relay.budget import ByteBudget

__all__ = ["end_object", "isolate_budget", "isolate_name"]

_name: list[str] = []
_budget: list[ByteBudget] = []


def isolate_name() -> str:
    """A name drawn once in each interpreter. The global scope has no entropy: ask from within an event."""
    if not _name:
        _name.append(str(uuid.uuid4()))
    return _name[0]


def isolate_budget(limit_bytes: int) -> ByteBudget:
    """The one budget of the isolate; whoever comes first says how large it is."""
    if not _budget:
        _budget.append(ByteBudget(limit_bytes))
    return _budget[0]


def end_object(state: Any, reason: str) -> None:
    """End an object as soon as nothing of Python runs: `abort` does not return, and an interpreter that it tears out of
    a callback is lost for all objects of the isolate."""
    js.setTimeout(state.abort.bind(state, reason), 0)
