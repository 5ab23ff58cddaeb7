"""The index is made anew from the bucket, in parts, whatever became of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from edgerelay.archive.catalog import CATALOG_KEY
from edgerelay.archive.cutting import HOUR_US, hour_of
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.runtime.reindex import reindex
from tests.coroutines import finished
from tests.histories import NOON_US, Past


def three_hours() -> Past:
    past = Past()
    for _ in range(3):
        past.write(*[1] * 15)
        past.write(HOUR_US)
    past.compact_all()
    return past


def run(past: Past, after_hour: int = 0, clock: Callable[[], int] | None = None) -> int:
    hours = past.upkeep().hours
    return finished(reindex(past.objects, hours, after_hour, clock or past.clock))


def test_what_was_lost_is_there_again_and_what_points_nowhere_is_gone() -> None:
    past = three_hours()
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


def test_a_call_ends_in_time_and_the_next_goes_on() -> None:
    past = three_hours()
    rows = dict(past.index.entries)
    past.index.entries.clear()
    calls, after_hour = 0, 0
    while calls == 0 or after_hour:
        seconds = count(0, 15_000_000)
        after_hour = run(past, after_hour, lambda seconds=seconds: next(seconds))  # type: ignore[misc]
        calls += 1
        assert after_hour in (0, *range(hour_of(NOON_US), hour_of(NOON_US) + 4))
    assert calls > 2
    assert past.index.entries == rows
    past.close()
