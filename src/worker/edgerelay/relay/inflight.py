"""Events between arrival and verdict, in order for each account and independent between accounts.

Verdicts may come in any order. An account's events leave in the order in which they came; accounts that wait hold up
nobody else.
"""

from __future__ import annotations

from collections import deque

from edgerelay.errors import InvariantError
from edgerelay.relay.intake import Candidate

__all__ = ["InFlight"]


class InFlight:
    """The events that await a verdict, or wait behind one of their account that does."""

    def __init__(self, max_count: int, max_bytes: int) -> None:
        self._bounds = max_count, max_bytes
        self._queues: dict[str, deque[Candidate]] = {}
        self.count = 0
        self.size_bytes = 0

    def begin(self, candidate: Candidate) -> None:
        """An event is about to be handed to verification."""
        candidate.awaited_by = self
        self._queues.setdefault(candidate.message.did, deque()).append(candidate)
        self.count += 1
        self.size_bytes += candidate.size_bytes

    def complete(self, candidate: Candidate) -> bool:
        """An event has its verdict: take note of it.

        False if the event began elsewhere: before the storage failed, say. It will be read again.
        """
        if candidate.awaited_by is not self:
            return False
        if candidate.verdict is None or candidate.complete:
            raise InvariantError("a verdict for an event that does not await one")
        candidate.complete = True
        return True

    def oldest(self, did: str) -> Candidate | None:
        """The oldest event of an account; None if it has none here."""
        queue = self._queues.get(did)
        return queue[0] if queue else None

    def next_ready(self, did: str) -> Candidate | None:
        """The oldest event of an account, if its verdict has been taken note of and it asks for nothing more."""
        oldest = self.oldest(did)
        return oldest if oldest is not None and oldest.complete and not oldest.is_asking else None

    def leave(self, candidate: Candidate) -> None:
        """The oldest event of an account leaves."""
        queue = self._queues[candidate.message.did]
        if queue.popleft() is not candidate:
            raise InvariantError("an event leaves before an older one of its account")
        if not queue:
            del self._queues[candidate.message.did]
        self.count -= 1
        self.size_bytes -= candidate.size_bytes

    def is_above(self, part: int) -> bool:
        """Tell whether more is here than this part of what may: 1 for all of it, 2 for half."""
        max_count, max_bytes = self._bounds
        return self.count > max_count // part or self.size_bytes > max_bytes // part

    @property
    def accounts(self) -> int:
        """How many accounts have events here."""
        return len(self._queues)
