"""The obvious twin of `edgerelay.relay.position`: remembers every number ever seen, and looks through all of them."""

from __future__ import annotations

from edgerelay.relay.position import Seen

__all__ = ["SlowPosition"]


class SlowPosition:
    """The position of one host, with everything that it ever received."""

    def __init__(self, low: int, done: tuple[tuple[int, int], ...]) -> None:
        self.start = low
        self.stored = done
        self.finished: dict[int, bool] = {}

    @property
    def low(self) -> int:
        """The largest number up to which everything received is finished."""
        finished = [seq for seq in self.finished if all(self.finished[each] for each in self.finished if each <= seq)]
        return max([self.start, *finished])

    @property
    def newest(self) -> int:
        """The largest number received."""
        return max([self.start, *self.finished])

    @property
    def runs(self) -> list[tuple[int, int]]:
        """Finished numbers above `low` without a pending one between them."""
        groups: list[list[int]] = [[]]
        for seq in sorted(seq for seq in self.finished if seq > self.low):
            if self.finished[seq]:
                groups[-1].append(seq)
            else:
                groups.append([])
        return [(group[0], group[-1]) for group in groups if group]

    @property
    def done(self) -> tuple[tuple[int, int], ...]:
        """The runs, and behind the newest number what was finished before a restart."""
        later = [(max(first, self.newest + 1), last) for first, last in self.stored if last > self.newest]
        return (*self.runs, *later)

    def seen(self, seq: int) -> Seen:
        """Tell what is known of a number."""
        if seq <= self.low:
            return Seen.BELOW
        if self.finished.get(seq) is False:
            return Seen.PENDING
        return Seen.DONE if any(first <= seq <= last for first, last in [*self.runs, *self.stored]) else Seen.NEW
