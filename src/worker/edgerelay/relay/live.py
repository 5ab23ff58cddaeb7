"""The readers of one shard that are live, by what they want.

Who is live, and what it gets, is `relay.shard`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from edgerelay.relay.channel import Channel
from edgerelay.relay.filters import Token
from edgerelay.relay.interests import Interests
from edgerelay.relay.pace import BlindPace

__all__ = ["Live"]


class Live:
    """Readers with their paces, by their channels; there is no channel without readers."""

    def __init__(self) -> None:
        self._readers: dict[Channel, dict[str, BlindPace]] = {}
        self._interests = Interests()

    def add(self, reader: str, channel: Channel, pace: BlindPace) -> None:
        """A reader is live."""
        if channel not in self._readers:
            self._readers[channel] = {}
            self._interests.add(channel)
        self._readers[channel][reader] = pace

    def remove(self, reader: str, channel: Channel | None) -> BlindPace | None:
        """A reader is not live any more; None if it was not."""
        if channel is None or channel not in self._readers:
            return None
        pace = self._readers[channel].pop(reader, None)
        if not self._readers[channel]:
            del self._readers[channel]
            self._interests.remove(channel)
        return pace

    def clear(self) -> list[tuple[str, BlindPace]]:
        """Nobody is live any more; answers who was."""
        readers = [each for channel in self._readers.values() for each in channel.items()]
        self._readers.clear()
        self._interests = Interests()
        return readers

    def concerned(self, tokens: Callable[[], Iterable[Token]]) -> Collection[Channel]:
        """The channels to which an event of a batch may go. `tokens` has those of the batch, if they matter."""
        return self._interests.concerned(tokens() if self._interests.names_tokens else ())

    def readers(self, channel: Channel) -> dict[str, BlindPace]:
        """The readers of a channel, as they are."""
        return dict(self._readers[channel])
