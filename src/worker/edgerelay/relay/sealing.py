"""When the next group of the archive is due, and when to try again after one failed.

It does not know what is in a group, nor where groups are stored.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from edgerelay.archive.cutting import hour_of

__all__ = ["SealPolicy", "Sealing"]

_US: Final = 1_000_000

RETRY_US: Final = 5 * _US
"""The first pause after a failure; each further one is twice as long."""

RETRY_CAP_US: Final = 60 * _US
"""The longest pause: a bucket that is back is used within a minute."""


class SealPolicy(NamedTuple):
    """When a group is due."""

    group_bytes: int
    """So many bytes wait."""

    seal_us: int
    """The first event that waits is older."""


class Sealing:
    """The pace of the archive."""

    def __init__(self, policy: SealPolicy) -> None:
        self._policy = policy
        self._failures = 0
        self._retry_us = 0

    def is_due(self, first_seq: int, waiting_bytes: int, now_us: int) -> bool:
        """Whether a group is to be stored now.

        Args:
            first_seq: number of the first event that waits; 0 if none does.
            waiting_bytes: size of all that wait.
        """
        if not first_seq or now_us < self._retry_us <= now_us + RETRY_CAP_US:
            return False
        is_old = first_seq <= now_us - self._policy.seal_us or hour_of(first_seq) < hour_of(now_us)
        return is_old or waiting_bytes >= self._policy.group_bytes

    def stored(self) -> None:
        """A group was stored."""
        self._failures = self._retry_us = 0

    def failed(self, now_us: int) -> None:
        """A group could not be stored."""
        self._retry_us = now_us + min(RETRY_US << min(self._failures, 10), RETRY_CAP_US)
        self._failures += 1
