"""A notation for what follows from what: `play >> event << command << command`.

Every command must be named, in order, before the next event; a command of a type in `but` goes unmentioned. Tuples with
names are equal when their fields are, whatever their names: `exact` compares both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

__all__ = ["Playbook", "exact"]

E = TypeVar("E")
C = TypeVar("C")


class Playbook(Generic[E, C]):
    """Plays events and compares what comes back."""

    def __init__(self, handle: Callable[[E], Iterable[C]], *, but: tuple[type, ...] = ()) -> None:
        self._handle = handle
        self._but = but
        self._due: deque[C] = deque()

    def __rshift__(self, event: E) -> Playbook[E, C]:
        assert not self._due, f"nobody expected {list(self._due)}"
        self._due.extend([each for each in self._handle(event) if not isinstance(each, self._but)])
        return self

    def __lshift__(self, command: C) -> Playbook[E, C]:
        assert self._due, f"nothing follows where {command} was expected"
        assert exact([self._due.popleft()]) == exact([command])
        return self

    def done(self) -> bool:
        """Tell whether everything that followed was named."""
        assert not self._due, f"nobody expected {list(self._due)}"
        return True


def exact(values: Iterable[object]) -> list[tuple[str, object]]:
    """Values with the names of their types."""
    return [(type(value).__name__, value) for value in values]
