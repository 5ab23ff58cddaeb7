"""The archiver: takes the queue's messages, and makes the lines of the groups that they announce.

A message is a hint and nothing more. It may come late, again, in any order or not at all: lines are stored only if they
are not there, and the compaction finds in the bucket what nobody announced.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from edgerelay.archive.announcement import AnnouncementError, decode_announcement
from edgerelay.archive.dead_letter import dead_letter_key, encode_dead_letter
from edgerelay.errors import InvariantError
from edgerelay.runtime.line_writer import LineWriter
from edgerelay.runtime.objects import ObjectMissingError, ObjectStore, ObjectStoreError
from edgerelay.runtime.ports import LogSink
from edgerelay.runtime.quarantine import quarantine

__all__ = ["RENDER_TRIES", "Archiver", "Message"]

RENDER_TRIES: Final = 3
"""How often a group is rendered in vain before it goes into quarantine: the same bytes give the same result, so that
more would help only against what the bucket may have done wrong."""


class Message(NamedTuple):
    """A message as it is delivered."""

    id: str
    body: object
    attempts: int
    """How often it was delivered, this time included."""


class Archiver:
    """The consumer of both queues."""

    def __init__(self, objects: ObjectStore, lines: LineWriter, sink: LogSink, clock: Callable[[], int]) -> None:
        self._objects = objects
        self._lines = lines
        self._sink = sink
        self._clock = clock

    async def take(self, message: Message) -> bool:
        """Do what a message asks for; False if it is to be delivered again."""
        try:
            group = decode_announcement(message.body)
        except AnnouncementError as error:
            return await self.bury(message, str(error))
        try:
            await self._lines.write(group)
        except ObjectMissingError:
            return True  # what was taken away has its lines, or is too old
        except ObjectStoreError as error:
            self._sink.write("warning", "archiver_failed", {"group": group.key, "problem": str(error)})
            return False
        except InvariantError as error:
            if message.attempts < RENDER_TRIES:
                return False
            return await self._is_noted(quarantine(self._objects, self._sink, group, str(error), self._clock()))
        return True

    async def bury(self, message: Message, problem: str) -> bool:
        """Keep a message that nobody can use, or that was given up; False if it is to be delivered again."""
        self._sink.write("error", "dead_letter", {"message": message.id, "problem": problem})
        now_us = self._clock()
        letter = encode_dead_letter(message.body, problem, message.attempts, now_us)
        return await self._is_noted(self._objects.put(dead_letter_key(message.id, now_us), letter))

    async def _is_noted(self, noting: Awaitable[object]) -> bool:
        try:
            await noting
        except ObjectStoreError as error:
            self._sink.write("warning", "archiver_failed", {"problem": str(error)})
            return False
        return True
