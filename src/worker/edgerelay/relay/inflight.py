"""Events between arrival and verdict, in order for each account and independent between accounts.

Verdicts may come in any order. An account's events leave in the order in which they came; accounts that wait hold up
nobody else.
"""

from __future__ import annotations

from edgerelay.errors import InvariantError
from edgerelay.relay.intake import Candidate

__all__ = ["InFlight"]


class InFlight:
    """The events that await a verdict, or wait behind one of their account that does."""

    def __init__(self) -> None:
        self._queues: dict[str, list[Candidate]] = {}
        self.count = 0
        self.size_bytes = 0

    def begin(self, candidate: Candidate) -> None:
        """An event is about to be handed to verification."""
        candidate.awaited_by = self
        self._queues.setdefault(candidate.message.did, []).append(candidate)
        self.count += 1
        self.size_bytes += candidate.size_bytes

    def complete(self, candidate: Candidate) -> list[Candidate]:
        """An event has its verdict. Returns the events of its account that may leave now, oldest first.

        None if the event began elsewhere: before the storage failed, say. It will be read again.
        """
        if candidate.awaited_by is not self:
            return []
        if candidate.verdict is None or candidate.complete:
            raise InvariantError("a verdict for an event that does not await one")
        candidate.complete = True
        queue = self._queues[candidate.message.did]
        ready = 0
        while ready < len(queue) and queue[ready].complete:
            ready += 1
        leaving = queue[:ready]
        if ready < len(queue):
            del queue[:ready]
        else:
            del self._queues[candidate.message.did]
        self.count -= ready
        self.size_bytes -= sum([each.size_bytes for each in leaving])
        return leaving

    @property
    def accounts(self) -> int:
        """How many accounts have events here."""
        return len(self._queues)
