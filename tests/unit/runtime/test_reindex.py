"""The index is made anew from the bucket, in parts, whatever became of it."""

from __future__ import annotations

from edgerelay.archive.catalog import CATALOG_KEY
from edgerelay.archive.cutting import HOUR_US, hour_of
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.runtime.reindex import REINDEX_HOURS, reindex
from tests.coroutines import finished
from tests.histories import NOON_US, Past


def hours_with_events(count: int) -> Past:
    past = Past()
    for _ in range(count):
        past.write(*[1] * 15)
        past.write(HOUR_US)
    past.compact_all()
    return past


def run(past: Past, after_hour: int = 0) -> int:
    return finished(reindex(past.objects, past.upkeep().hours, after_hour))


def test_what_was_lost_is_there_again_and_what_points_nowhere_is_gone() -> None:
    past = hours_with_events(3)
    rows, figures = dict(past.index.entries), past.compact()
    assert len(rows) > 5
    past.index.entries.clear()
    del past.objects.objects[CATALOG_KEY]
    nowhere = ObjectName(Folder.FIREHOSE, NOON_US + 2, NOON_US + 3)
    finished(past.index.put(nowhere.key, {}, 9))
    past.objects.objects["firehose/readme"] = b""
    assert run(past) == 0
    assert past.index.entries == rows
    assert past.compact() == figures
    past.close()


def test_a_call_is_bounded_and_the_next_goes_on() -> None:
    past = hours_with_events(REINDEX_HOURS)
    rows = dict(past.index.entries)
    past.index.entries.clear()
    after_hour = run(past)
    assert after_hour == hour_of(NOON_US) + REINDEX_HOURS - 1
    assert past.index.entries.keys() < rows.keys()
    assert run(past, after_hour) == 0
    assert past.index.entries == rows
    past.close()
