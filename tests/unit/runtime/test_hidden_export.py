"""Hidden accounts in the bucket: all of them, the newest state alone, and not more often than is needed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgerelay.archive.hiding import CHANGE_BYTES, HidingError, Visibility, VisibilityChange
from edgerelay.relay.accounts import hash_did
from edgerelay.runtime import exports as exports_module
from edgerelay.runtime import hidden_table as table_module
from edgerelay.runtime.exports import Exports
from edgerelay.runtime.hidden_export import EXPORT_US, HiddenExport
from edgerelay.runtime.hidden_table import HiddenTable
from edgerelay.runtime.memory import ManualClock, MemoryLog, MemoryObjects
from edgerelay.runtime.schema import migrate
from edgerelay.runtime.sql import Sqlite
from tests.coroutines import finished, no_pause
from tests.oracle import frames

NOW_US = frames.NOW_US


class Stand:
    """A table, a bucket and what goes from the one to the other."""

    def __init__(self) -> None:
        self.sql = Sqlite()
        migrate(self.sql)
        self.table = HiddenTable(self.sql)
        self.objects, self.log, self.clock = MemoryObjects(), MemoryLog(), ManualClock(NOW_US)
        self.export = HiddenExport(self.objects, lambda: self.table, self.log, self.clock)

    def hide(self, version: int) -> None:
        self.table.put([VisibilityChange(version, hash_did(frames.did(version)), Visibility.DELETED)])

    def run(self) -> None:
        finished(self.export.run(no_pause))


@pytest.fixture
def stand() -> Iterator[Stand]:
    made = Stand()
    yield made
    made.sql.close()


def read_back(objects: MemoryObjects) -> list[int]:
    async def read() -> list[int]:
        return [change.version async for changes in Exports(objects).hidden() for change in changes]

    return finished(read())


def test_nothing_is_stored_where_nobody_is_hidden(stand: Stand) -> None:
    stand.run()
    assert stand.objects.objects == {}
    assert read_back(stand.objects) == []


def test_all_come_back_in_whatever_pages(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "PAGE_CHANGES", 2)
    monkeypatch.setattr(exports_module, "CHUNK_BYTES", 3 * CHANGE_BYTES)
    for version in range(1, 8):
        stand.hide(version)
    stand.run()
    assert list(stand.objects.objects) == ["state/hidden/0000000000000007"]
    assert read_back(stand.objects) == list(range(1, 8))


def test_the_newest_takes_the_place_of_the_others_when_it_is_time(stand: Stand) -> None:
    stand.hide(1)
    stand.run()
    stand.hide(2)
    assert not stand.export.is_due
    stand.clock.now_us += EXPORT_US
    stand.run()
    assert (read_back(stand.objects), len(stand.objects.objects)) == ([1, 2], 1)
    stand.clock.now_us += EXPORT_US
    assert not stand.export.is_due, "nothing has changed"


def test_the_operator_does_not_wait(stand: Stand) -> None:
    stand.hide(1)
    stand.run()
    stand.hide(2)
    stand.export.hurry()
    stand.run()
    assert read_back(stand.objects) == [1, 2]


def test_what_fails_is_said_and_tried_again(stand: Stand) -> None:
    stand.hide(1)
    stand.objects.problem = "down"
    stand.run()
    assert stand.log.named("export_failed") == [{"problem": "down"}]
    stand.objects.problem = ""
    assert not stand.export.is_due
    stand.clock.now_us += EXPORT_US
    stand.run()
    assert read_back(stand.objects) == [1]


def test_what_was_not_written_by_us_is_named(stand: Stand) -> None:
    stand.objects.objects["state/hidden/0000000000000007"] = b"\x09" + bytes(25)
    with pytest.raises(HidingError, match=r"^state/hidden/0000000000000007: "):
        read_back(stand.objects)
