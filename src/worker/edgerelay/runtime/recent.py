"""A bounded memory of what was used recently."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["Recent"]

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Recent(Generic[_Key, _Value]):
    """The most recently used entries, in two generations: an entry that is not used for a whole one is forgotten.

    Unlike a list ordered by use it costs nothing to read an entry of the newer generation.
    """

    def __init__(self, generation_entries: int) -> None:
        self._generation_entries = generation_entries
        self._newer: dict[_Key, _Value] = {}
        self._older: dict[_Key, _Value] = {}

    def __contains__(self, key: _Key) -> bool:
        """Tell whether an entry is remembered; asking does not count as using it."""
        return key in self._newer or key in self._older

    def get(self, key: _Key) -> _Value | None:
        """Return the value of an entry, and take note that it was used; None if it is not remembered."""
        value = self._newer.get(key)
        if value is None:
            value = self._older.get(key)
            if value is not None:
                self.add(key, value)
        return value

    def add(self, key: _Key, value: _Value) -> None:
        """Remember an entry, or its new value."""
        if len(self._newer) >= self._generation_entries:
            self.supersede({})
        self._newer[key] = value

    def forget(self, key: _Key) -> None:
        """Do not remember an entry."""
        self._newer.pop(key, None)
        self._older.pop(key, None)

    def supersede(self, entries: dict[_Key, _Value]) -> None:
        """Begin a generation with `entries`, each at least as new as what is kept under its key."""
        self._older = self._newer
        self._newer = entries
