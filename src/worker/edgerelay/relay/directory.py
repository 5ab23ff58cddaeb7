"""Whether the directory of identities answers at all, judged by what became of the latest look-ups.

A failure may be a DID's, even if it looks like the directory's: it is the directory's if it fails for others too. So
when it fails, a *control* is asked for as well, a DID that it has answered for. It counts as *down* when most of the
latest look-ups failed, for more than one DID, the control among them if there is one; and as back at its first answer.

It asks nobody, and knows nothing of accounts.

Spec: atproto DID ("Resolution"); rate limits as the Bluesky documentation advises.
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Directory", "is_listed"]

_US: Final = 1_000_000

LATEST: Final = 10
"""Look-ups that are judged together."""

DOWN_AT: Final = 7
"""Failures of the directory among those at which it may count as down."""

PROBE_US: Final = 2 * _US
"""Pause between two questions to a directory that is down."""

PROBE_CAP_US: Final = 30 * _US
"""What that pause grows to."""


def is_listed(did: str) -> bool:
    """Tell whether a DID is the directory's to know."""
    return did.startswith("did:plc:")


class Directory:
    """What is known of the directory."""

    def __init__(self) -> None:
        self.is_down = False
        self.answers = 0
        """How often it said something about a DID."""

        self.probe_us = 0
        """When to ask it again while it is down."""

        self.control = ""
        """The DID that was asked for because it had answered for it; empty if there was none."""

        self._known = ""
        self._pause_us = PROBE_US
        self._latest: deque[str] = deque(maxlen=LATEST)
        """For each of the latest look-ups the DID for which it failed, or nothing if it answered."""

    def knows(self, did: str) -> None:
        """The directory has answered for a DID, now or not long ago."""
        if is_listed(did):
            self._known = did

    def choose_control(self, failed: str) -> str:
        """A DID to ask for as well, now that it has failed for one; empty if no other is known."""
        self.control = "" if self._known == failed else self._known
        return self.control

    def succeeds(self) -> bool:
        """It said something about a DID. Returns whether it is back from being down."""
        self.answers += 1
        self._latest.append("")
        if not self.is_down:
            return False
        self.is_down = False
        self._latest.clear()
        return True

    def fails(self, did: str, now_us: int) -> None:
        """It said nothing about a DID."""
        self._latest.append(did)
        failing = [each for each in self._latest if each]
        is_alone = len(set(failing)) == 1
        if len(failing) >= DOWN_AT and not is_alone and not self.is_down and self.control in ("", *failing):
            self.is_down = True
            self._pause_us = PROBE_US
            self.probe_us = now_us + PROBE_US

    def probed(self) -> None:
        """It was asked while it is down: the next pause is longer."""
        self._pause_us = min(PROBE_CAP_US, self._pause_us * 2)

    def leave_alone(self, for_us: int, now_us: int) -> None:
        """It is still down: ask it again after the pause, or after the longer one that it asks for."""
        self.probe_us = max(self.probe_us, now_us + max(self._pause_us, for_us))
