"""A host as simple as can be: a list of events, a number for each, and one socket.

Every event has a `time` of its own, by which it is known wherever it turns up, whatever number it has there.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.oracle import frames

__all__ = ["Happening", "SlowHost"]

EPOCH_STARTS = (1_000_000, 100_000, 10_000, 1_000, 1)
"""First numbers before and after each reset: far enough apart that the host does not catch up with itself."""


class Happening(NamedTuple):
    """One event of the host."""

    kind: str
    account: int
    rev: int
    time_us: int

    @property
    def time(self) -> str:
        """What it is known by."""
        return frames.datetime_text(self.time_us)

    def frame(self, seq: int) -> bytes:
        """The event as the host sends it under a number."""
        did, rev = frames.did(self.account), frames.tid(self.rev)
        match self.kind:
            case "commit":
                paths = [f"a.b.c/{index}" for index in range(self.rev % 3)]
                return frames.commit(seq, did, rev, paths=paths, time_us=self.time_us)
            case "sync":
                return frames.sync(seq, did, rev, time_us=self.time_us)
            case "identity":
                return frames.identity(seq, did, time_us=self.time_us)
            case _:
                return frames.account(seq, did, active=self.rev % 2 == 0, time_us=self.time_us)


class SlowHost:
    """A host that can replay, drop its subscriber, and lose its numbers."""

    def __init__(self, *, inclusive: bool, says_future: bool) -> None:
        self.inclusive = inclusive
        self.says_future = says_future
        self.events: list[Happening] = []
        self.numbers: list[int] = []
        self.resets = 0
        self.revs: dict[int, int] = {}
        self.waiting: list[bytes] = []
        """Frames that the subscriber has not taken yet."""

    @property
    def newest(self) -> int:
        """The number given out last; below the first of this epoch before that."""
        return self.numbers[-1] if self.numbers else EPOCH_STARTS[self.resets] - 1

    def happen(self, kind: str, account: int, time_us: int, distance: int) -> Happening:
        """Something happens, and is sent to the subscriber."""
        rev = self.revs.get(account, 0)
        if kind == "commit" or (kind == "sync" and rev == 0):
            rev = self.revs[account] = rev + 1
        event = Happening(kind, account, rev, time_us)
        self.numbers.append(self.newest + distance)
        self.events.append(event)
        self.waiting.append(event.frame(self.newest))
        return event

    def subscribe(self, cursor: int | None) -> bool:
        """Send what the cursor asks for, and from then on what happens; False if the cursor lies in the future."""
        self.waiting = []
        if cursor is None:
            return True
        if cursor > self.newest:
            return not self.says_future
        first = cursor if self.inclusive else cursor + 1
        numbered = zip(self.numbers, self.events, strict=True)
        self.waiting = [event.frame(seq) for seq, event in numbered if seq >= first]
        return True

    def take(self, count: int) -> list[bytes]:
        """The next frames on the socket."""
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken

    def reset(self) -> None:
        """All numbers are lost, and given out anew; the subscriber is dropped."""
        self.resets += 1
        self.numbers = [EPOCH_STARTS[self.resets] + index for index in range(len(self.events))]
        self.waiting = []
