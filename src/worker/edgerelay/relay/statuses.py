"""What hosts said a short while ago when they were asked whether an account is active.

A commit of an account that its host took out may mean that an `#account` was missed, so the host is asked, once
(`com.atproto.sync.getRepoStatus`). An account that goes on writing is not asked about again for a while: should it come
back, its host says so by itself.

Spec: atproto account hosting; sync, "Account Sync Status".
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

__all__ = ["Statuses"]

KEPT_US: Final = 300_000_000
"""How long an answer is believed, in microseconds; as long as a failed look-up."""

MAX_KEPT: Final = 10_000
"""Answers kept: 2 MB. Beyond it the oldest is forgotten and asked for again."""


class Statuses:
    """The latest answers."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, tuple[int, bool]] = OrderedDict()

    def recent(self, did: str, now_us: int) -> bool | None:
        """Whether the account's host said that it is active; None if it was not asked lately."""
        told = self._told.get(did)
        return told[1] if told is not None and 0 <= now_us - told[0] < KEPT_US else None

    def told(self, did: str, now_us: int, *, active: bool) -> None:
        """A host answered, or did not, which means no."""
        self._told[did] = (now_us, active)
        self._told.move_to_end(did)
        if len(self._told) > MAX_KEPT:
            self._told.popitem(last=False)

    def forget(self, did: str) -> None:
        """The host has said something by itself."""
        self._told.pop(did, None)
