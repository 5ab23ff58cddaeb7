"""Names the isolate, so that objects which share one can be told."""

from __future__ import annotations

import uuid

__all__ = ["isolate_name"]

_name: list[str] = []


def isolate_name() -> str:
    """A name drawn once in each interpreter. The global scope has no entropy: ask from within an event."""
    if not _name:
        _name.append(str(uuid.uuid4()))
    return _name[0]
