"""Puts groups into quarantine, and says so."""

from __future__ import annotations

from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.archive.quarantine import encode_note, quarantine_key
from edgerelay.runtime.objects import ObjectStore
from edgerelay.runtime.ports import LogSink

__all__ = ["quarantine"]


async def quarantine(objects: ObjectStore, sink: LogSink, name: ObjectName, problem: str, now_us: int) -> None:
    """Note that a group, or the object of its lines, cannot be used. Only the first time is said.

    Raises:
        ObjectStoreError: the bucket does not answer.
    """
    group = name._replace(folder=Folder.GROUPS)
    if await objects.put(quarantine_key(group), encode_note(group, problem, now_us)):
        sink.write("error", "group_quarantined", {"object": name.key, "problem": problem})
