"""Groups go into quarantine once, whichever of their objects is the reason."""

from __future__ import annotations

from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.archive.quarantine import quarantine_key
from edgerelay.runtime.memory import MemoryLog, MemoryObjects
from edgerelay.runtime.quarantine import quarantine
from tests.coroutines import finished

GROUP = ObjectName(Folder.GROUPS, 10, 20)


def test_it_is_noted_and_said_once() -> None:
    objects, lines = MemoryObjects(), MemoryLog()
    for name in (GROUP._replace(folder=Folder.JETSTREAM), GROUP):
        finished(quarantine(objects, lines, name, "broken", 7))
    assert list(objects.objects) == [quarantine_key(GROUP)]
    assert lines.named("group_quarantined") == [
        {"object": GROUP._replace(folder=Folder.JETSTREAM).key, "problem": "broken"}
    ]
