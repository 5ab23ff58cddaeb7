"""Remembers which hours the compaction did not survive, so that one that kills it holds up no other.

What kills a run is more memory or time than the platform gives, or a defect of ours; nothing of it can say so then. So
an hour is noted before it is begun. Where that happened a few times, the hour waits, longer and longer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edgerelay.archive.attempts import ATTEMPTS_KEY, Attempt, decode_attempts, encode_attempts
from edgerelay.runtime.objects import ObjectMissingError, ObjectStore

__all__ = ["FREE_ATTEMPTS", "WAIT_US", "Attempts"]

FREE_ATTEMPTS: Final = 5
"""Runs that may end in an hour before it waits: a deployment or a machine that goes away ends some, too."""

WAIT_US: Final = 120_000_000
"""Microseconds that an hour waits at first; each further time twice as long."""

WAIT_DOUBLINGS: Final = 9
"""After so many an hour waits no longer than before: 17 hours."""

MAX_HOURS: Final = 200
"""Hours that are remembered; beyond it the oldest are forgotten, and tried again."""

MAX_BYTES: Final = 20_000
"""Of the object: some 40 an hour."""

_MINUTE_US: Final = 60_000_000


class Attempts:
    """The hours, for one run. What asks the bucket may raise `ObjectStoreError`."""

    def __init__(self, objects: ObjectStore, clock: Callable[[], int]) -> None:
        self._objects = objects
        self._clock = clock
        self._hours: dict[int, Attempt] = {}
        self._is_changed = False

    async def read(self) -> None:
        """Learn what runs before this one have left."""
        try:
            self._hours = decode_attempts((await self._objects.read_tail(ATTEMPTS_KEY, MAX_BYTES)).data)
        except ObjectMissingError:
            self._hours = {}

    @property
    def stuck(self) -> list[int]:
        """The hours that wait, or have waited."""
        return [hour for hour, attempt in self._hours.items() if attempt.begun >= FREE_ATTEMPTS]

    def is_due(self, hour: int) -> bool:
        """Whether an hour need not wait."""
        attempt = self._hours.get(hour)
        if attempt is None or attempt.begun < FREE_ATTEMPTS:
            return True
        wait_us = WAIT_US << min(attempt.begun - FREE_ATTEMPTS, WAIT_DOUBLINGS)
        return not 0 <= self._clock() - attempt.last_us < wait_us

    async def begin(self, hour: int) -> None:
        """Note that an hour is begun."""
        now_us, (begun, last_us) = self._clock(), self._hours.pop(hour, Attempt(0, 0))
        is_same = last_us // _MINUTE_US == now_us // _MINUTE_US
        self._hours[hour] = Attempt(begun + (not is_same), now_us)
        for oldest in sorted(self._hours)[:-MAX_HOURS]:
            del self._hours[oldest]
        await self._write()

    def end(self, hour: int) -> None:
        """An hour came to its end, in whichever way; that is remembered with the next one, or by `save`."""
        self._is_changed = self._hours.pop(hour, None) is not None or self._is_changed

    async def save(self) -> None:
        """Remember what has ended."""
        if self._is_changed:
            await self._write()

    async def _write(self) -> None:
        await self._objects.replace(ATTEMPTS_KEY, encode_attempts(self._hours))
        self._is_changed = False
