"""The compaction: whatever happens between any two steps, readers miss nothing, and in the end all is in segments."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.attempts import ATTEMPTS_KEY
from edgerelay.archive.blobs import find_blobs
from edgerelay.archive.catalog import CATALOG_KEY
from edgerelay.archive.cutting import HOUR_US, hour_of
from edgerelay.archive.manifest import manifest_key
from edgerelay.archive.object_names import Folder, ObjectName, own_names
from edgerelay.errors import EdgeRelayError
from edgerelay.relay.sealing import RETRY_CAP_US
from edgerelay.runtime.archiver import Message
from edgerelay.runtime.attempts import FREE_ATTEMPTS
from edgerelay.runtime.compaction import GRACE_US, MINUTE_US, SETTLE_US
from edgerelay.runtime.objects import ObjectStoreError
from edgerelay.runtime.sweep import GRACE_US as SWEEP_GRACE_US
from edgerelay.runtime.sweep import sweep
from tests.coroutines import finished
from tests.effects import Led, LedIndex, LedObjects
from tests.histories import KEPT_US, NOON_US, SEAL_US, Past, Reader


@pytest.fixture
def past() -> Iterator[Past]:
    """Two hours: four groups, then one."""
    created = Past()
    for _ in range(12):
        created.write(*[1] * 5)
    created.write(HOUR_US)
    created.archive_all()
    yield created
    created.close()


def names(past: Past, folder: Folder) -> list[ObjectName]:
    return [name for name in own_names(sorted(past.objects.objects)) if name.folder is folder]


def ranges(past: Past, folder: Folder) -> list[tuple[int, int]]:
    return [(name.first_seq - NOON_US, name.last_seq - NOON_US) for name in names(past, folder)]


def joined_apart(past: Past) -> dict[str, bytes]:
    """The segments that a run makes that sees nothing but groups."""
    before = dict(past.objects.objects)
    past.objects.objects = {key: data for key, data in before.items() if key.startswith(Folder.GROUPS)}
    past.compact(segment_bytes=10**6)
    made, past.objects.objects = past.objects.objects, before
    return {key: data for key, data in made.items() if key.startswith(Folder.FIREHOSE)}


def close_hour(past: Past) -> None:
    past.clock.now_us = NOON_US + 2 * HOUR_US + SETTLE_US


class TestSteps:
    def test_an_open_hour_is_left_alone(self, past: Past) -> None:
        past.clock.now_us = NOON_US + HOUR_US + SETTLE_US - 1
        past.compact()
        assert ranges(past, Folder.FIREHOSE) == []

    def test_groups_become_segments_of_a_bounded_size_and_lines_do_too(self, past: Past) -> None:
        close_hour(past)
        past.compact(segment_bytes=1_000)
        assert ranges(past, Folder.FIREHOSE) == [(1, 30), (31, 60), (HOUR_US + 60, HOUR_US + 60)]
        assert all(len(past.objects.objects[name.key]) < 4_000 for name in names(past, Folder.FIREHOSE))
        assert {(1, 30), (31, 60)} <= set(ranges(past, Folder.JETSTREAM))
        assert past.read_lines() == past.expected_lines()

    def test_what_is_joined_stays_beside_the_segments_for_a_while(self, past: Past) -> None:
        close_hour(past)
        past.compact(segment_bytes=10**6)
        past.clock.now_us += GRACE_US - 1
        past.compact(segment_bytes=10**6)
        assert len(names(past, Folder.GROUPS)) == 5
        past.clock.now_us += 1
        past.compact(segment_bytes=10**6)
        assert names(past, Folder.GROUPS) == []
        assert ranges(past, Folder.FIREHOSE) == [(1, 60), (HOUR_US + 60, HOUR_US + 60)]
        assert ranges(past, Folder.JETSTREAM) == ranges(past, Folder.FIREHOSE)

    def test_a_group_that_comes_late_is_joined_by_itself(self, past: Past) -> None:
        past.compact_all()
        past.write(1)
        past.clock.now_us += HOUR_US
        past.compact_all()
        assert ranges(past, Folder.FIREHOSE)[-1] == (HOUR_US + 61, HOUR_US + 61)
        assert names(past, Folder.GROUPS) == []

    def test_a_clock_that_jumped_ahead_and_back_holds_up_nothing(self, past: Past) -> None:
        past.clock.now_us = NOON_US + 1_000 * HOUR_US
        past.compact()
        close_hour(past)
        past.compact()
        assert names(past, Folder.GROUPS) == []
        past.write(1)
        assert Reader(past.replay(), 1).read_all().seen == past.events

    def test_a_segment_that_a_larger_one_covers_goes_too(self, past: Past) -> None:
        """Two runs that met had seen different groups."""
        close_hour(past)
        group = names(past, Folder.GROUPS)[0]
        past.objects.objects[group._replace(folder=Folder.FIREHOSE).key] = past.objects.objects[group.key]
        whole = joined_apart(past)
        past.objects.objects.update(whole)
        past.compact(segment_bytes=10**6)
        past.clock.now_us += GRACE_US
        past.compact(segment_bytes=10**6)
        assert ranges(past, Folder.FIREHOSE) == [(1, 60), (HOUR_US + 60, HOUR_US + 60)]

    def test_nothing_is_taken_away_that_no_readable_segment_holds(self, past: Past) -> None:
        close_hour(past)
        past.compact(segment_bytes=10**6)
        segment = names(past, Folder.FIREHOSE)[0]
        past.objects.objects[segment.key] = past.objects.objects[segment.key][:-1]
        past.clock.now_us += GRACE_US
        past.compact(segment_bytes=10**6)
        assert len(names(past, Folder.GROUPS)) == 4
        past.write(1)
        assert Reader(past.replay(), 1).read_all().seen == past.events

    def test_a_run_ends_in_time_and_the_next_goes_on(self, past: Past) -> None:
        close_hour(past)
        seconds = count(past.clock.now_us, 4_000_000)
        finished(past.upkeep(1, lambda: next(seconds)).compaction.run())
        done = len(names(past, Folder.FIREHOSE))
        assert 0 < done < 4
        seconds = count(past.clock.now_us + MINUTE_US, 4_000_000)
        finished(past.upkeep(1, lambda: next(seconds)).compaction.run())
        assert len(names(past, Folder.FIREHOSE)) > done, "and not after the grace of an hour that is complete"
        past.compact_all()
        assert names(past, Folder.GROUPS) == []


class TestIndex:
    def test_rows_manifest_and_figures_say_what_there_is(self, past: Past) -> None:
        figures = past.compact_all()
        kept = names(past, Folder.FIREHOSE) + names(past, Folder.JETSTREAM) + names(past, Folder.BLOBS)
        assert set(past.index.entries) == {name.key for name in kept}
        for name in kept:
            facts, expires_s = past.index.entries[name.key]
            assert facts["bytes"] == len(past.objects.objects[name.key])
            assert len(json.dumps(facts)) < 1_024
            assert expires_s == ((name.hour + 1) * HOUR_US + 63 * 24 * HOUR_US) // 10**6
        hour = hour_of(NOON_US)
        listed = [
            each["key"]
            for number in (hour, hour + 1)
            for each in json.loads(past.objects.objects[manifest_key(number)])["objects"]
        ]
        assert sorted(listed) == sorted(name.key for name in kept)
        assert (figures.hours, figures.oldest_seq, figures.newest_seq) == (2, NOON_US + 1, NOON_US + HOUR_US + 60)
        assert figures.firehose_objects + figures.jetstream_objects == len(kept) - len(names(past, Folder.BLOBS))
        assert figures.firehose_bytes == sum(
            len(past.objects.objects[name.key]) for name in names(past, Folder.FIREHOSE)
        )
        assert past.compact() == figures

    def test_an_index_that_is_down_holds_up_nothing_but_itself(self, past: Past) -> None:
        past.index.problem = "down"
        past.compact_all()
        assert len(names(past, Folder.GROUPS)) == 5
        assert len(names(past, Folder.FIREHOSE)) > 1
        assert past.lines.named("compaction_failed")[0]["problem"] == "down"
        past.index.problem = ""
        past.compact_all()
        assert names(past, Folder.GROUPS) == []
        assert len(past.index.entries) > 2

    def test_an_hour_that_somebody_changed_is_published_again_within_the_history(self, past: Past) -> None:
        past.compact_all()
        segment = names(past, Folder.FIREHOSE)[0]
        rewritten = segment._replace(generation=1)
        past.objects.objects[rewritten.key] = past.objects.objects.pop(segment.key)
        past.clock.now_us = (segment.hour + 2) * HOUR_US + SETTLE_US
        for _ in range(63 * 24):
            past.compact()
            past.clock.now_us += MINUTE_US
        assert rewritten.key in past.index.entries
        assert segment.key not in past.index.entries
        manifest = json.loads(past.objects.objects[manifest_key(segment.hour)])
        assert rewritten.key in [each["key"] for each in manifest["objects"]]


class TestReferences:
    @pytest.fixture
    def past(self) -> Iterator[Past]:
        """Two hours, whose records have blobs."""
        created = Past(has_blobs=True)
        for _ in range(12):
            created.write(*[1] * 5)
        created.write(HOUR_US + 1)
        created.archive_all()
        yield created
        created.close()

    def test_they_lie_beside_the_lines_with_the_hosts_of_their_accounts(self, past: Past) -> None:
        past.compact_all()
        assert ranges(past, Folder.BLOBS) == ranges(past, Folder.JETSTREAM)
        assert {name.key for name in names(past, Folder.BLOBS)} < set(past.index.entries)
        found = past.read_references()
        assert [each._replace(host="") for each in found] == find_blobs(past.expected_lines())
        assert {each.host for each in found} == {f"https://{number}.test" for number in range(7)}

    def test_while_nobody_says_which_hosts_accounts_have_nothing_is_taken_away(self, past: Past) -> None:
        past.hosts_problem = "down"
        past.compact_all()
        assert (names(past, Folder.BLOBS), len(names(past, Folder.GROUPS))) == ([], 5)
        past.hosts_problem = ""
        past.compact_all()
        assert names(past, Folder.GROUPS) == []
        assert len(past.read_references()) == len(find_blobs(past.expected_lines()))

    def test_lines_that_are_damaged_hold_up_nothing(self, past: Past) -> None:
        past.hosts_problem = "down"
        past.compact_all()
        damaged = names(past, Folder.JETSTREAM)[-1]
        past.objects.objects[damaged.key] = past.objects.objects[damaged.key][:-1]
        past.hosts_problem = ""
        past.compact_all()
        assert past.lines.named("blobs_failed")[0]["object"] == damaged.key
        assert ranges(past, Folder.BLOBS) == ranges(past, Folder.JETSTREAM)[:-1]
        assert names(past, Folder.GROUPS) == []

    def test_a_run_ends_in_time_and_the_next_goes_on(self, past: Past) -> None:
        close_hour(past)
        for _ in range(4):
            seconds = count(past.clock.now_us, 4_000_000)
            finished(past.upkeep(1, seconds.__next__).compaction.run())
        past.compact_all()
        assert len(past.read_references()) == len(find_blobs(past.expected_lines()))


class TestDamage:
    @pytest.mark.parametrize("damage", ["index", "block"])
    def test_a_damaged_group_stays_where_it_is_and_is_said_once(self, past: Past, damage: str) -> None:
        bad = names(past, Folder.GROUPS)[1]
        data = bytearray(past.objects.objects[bad.key])
        data[-1 if damage == "index" else 120] ^= 1
        past.objects.objects[bad.key] = bytes(data)
        figures = past.compact_all()
        assert names(past, Folder.GROUPS) == [bad]
        assert ranges(past, Folder.FIREHOSE)[:2] == [(1, 15), (31, 60)]
        assert [line["object"] for line in past.lines.named("group_quarantined")] == [bad.key]
        assert figures.quarantined == 1
        assert past.index.entries[bad.key][0] == {"quarantined": True}
        reads = past.objects.reads
        past.compact()
        assert past.objects.reads - reads <= 2, "nobody tries for ever"

    def test_a_group_that_cannot_be_rendered_is_joined_all_the_same(self, past: Past) -> None:
        past.damaged_frames.add(past.events[20][1])
        figures = past.compact_all()
        assert figures.quarantined == 1
        assert names(past, Folder.GROUPS) == []
        assert ranges(past, Folder.JETSTREAM)[:2] == [(1, 15), (31, 60)]
        past.write(1)
        assert Reader(past.replay(), 1).read_all().seen == past.events


class TestAttempts:
    """The first hour has a group that ends the run, as too much for the memory does."""

    @pytest.fixture
    def past(self, past: Past) -> Past:
        past.damaged_frames.add(past.events[20][1])
        past.damage = MemoryError()
        close_hour(past)
        return past

    def run(self, past: Past, times: int) -> list[bool]:
        """A run in each minute; tells which came to their end."""
        ended = []
        for _ in range(times):
            with suppress(MemoryError):
                ended.append(past.compact(10**6).stuck_hours == 1)
            past.clock.now_us += MINUTE_US
        return ended

    def test_it_holds_up_the_hours_behind_it_for_a_few_runs_only(self, past: Past) -> None:
        assert self.run(past, FREE_ATTEMPTS) == []
        assert ranges(past, Folder.FIREHOSE) == [(1, 60)]
        assert self.run(past, 1) == [True]
        assert ranges(past, Folder.FIREHOSE) == [(1, 60), (HOUR_US + 60, HOUR_US + 60)]
        assert past.lines.named("compaction_stuck") == [{"hour": hour_of(NOON_US)}]
        assert Reader(past.replay(), 1).read_all().seen == past.events

    def test_it_is_tried_again_ever_more_rarely(self, past: Past) -> None:
        assert len(self.run(past, 60)) == 60 - FREE_ATTEMPTS - 4

    def test_when_it_survives_it_is_as_any_other(self, past: Past) -> None:
        self.run(past, FREE_ATTEMPTS)
        past.damaged_frames.clear()
        assert self.run(past, 3)[-1] is False
        past.compact_all()
        assert names(past, Folder.GROUPS) == []
        assert past.read_lines() == past.expected_lines()
        assert past.compact().stuck_hours == 0


def course(past: Past) -> Iterator[Callable[[], Coroutine[Any, Any, object]]]:
    """Who works on what was written, one after the other, until all of it is in segments."""
    past.clock.now_us += SEAL_US
    yield lambda: past.archivist.run(past.effects.pause)
    for number, text in enumerate(past.queue.messages[:2]):  # what nobody announced is found by the compaction
        message = Message(str(number), text, 1)
        yield lambda message=message: past.upkeep().archiver.take(message)  # type: ignore[misc]
    close_hour(past)
    yield past.upkeep(10**6).compaction.run
    past.clock.now_us += GRACE_US
    yield past.upkeep(10**6).compaction.run


def outliving(past: Past) -> Iterator[Callable[[], Coroutine[Any, Any, object]]]:
    """Who takes it away when its time is over; each folder has its turn, twice."""
    objects, index = LedObjects(past.effects, past.objects), LedIndex(past.effects, past.index)
    past.clock.now_us += KEPT_US + HOUR_US
    for _ in range(14):
        past.clock.now_us += MINUTE_US
        yield lambda: sweep(objects, index, past.clock.now_us, KEPT_US - SWEEP_GRACE_US)


class Blow:
    """Strikes once, when a point is reached for the n-th time."""

    def __init__(self, point: str = "", times: int = 0, *, is_kill: bool = True) -> None:
        self.reached: Counter[str] = Counter()
        self._due = point, times
        self._is_kill = is_kill

    def follow(self, past: Past, works: Iterator[Callable[[], Coroutine[Any, Any, object]]]) -> None:
        """Let them work, and whoever was struck once more."""
        for begin in works:
            while not self._has_done(past, past.effects.lead(unless_it_fails(begin()))):
                past.open()
                past.clock.now_us += RETRY_CAP_US

    def _has_done(self, past: Past, led: Led) -> bool:
        is_struck = False
        while led.point:
            self.reached[led.point] += 1
            if (led.point, self.reached[led.point]) != self._due:
                led.go()
            elif self._is_kill:
                led.kill()
                return False
            else:
                led.fail()
                is_struck = True
        return not is_struck


async def unless_it_fails(work: Coroutine[Any, Any, object]) -> None:
    with suppress(EdgeRelayError):
        await work


def two_hours() -> Past:
    past = Past(has_blobs=True)
    for _ in range(8):
        past.write(*[1] * 5)
    past.write(HOUR_US)
    return past


def points() -> Counter[str]:
    """Every point of the way, and how often it is reached."""
    past, blow = two_hours(), Blow()
    blow.follow(past, course(past))
    blow.follow(past, outliving(past))
    past.close()
    return blow.reached


POINTS = points()


@pytest.mark.parametrize("is_kill", [True, False], ids=["killed", "failed"])
@pytest.mark.parametrize("point", POINTS)
def test_wherever_it_is_struck_everything_is_replayed_and_goes_when_its_time_is_over(point: str, is_kill: bool) -> None:
    for times in {1, POINTS[point]}:
        past, blow = two_hours(), Blow(point, times, is_kill=is_kill)
        reader = Reader(past.replay(), 1)
        blow.follow(past, course(past))
        past.compact_all()
        for each in (reader, Reader(past.replay(), 1)):
            assert each.read_all().seen == past.events
        assert past.read_lines() == past.expected_lines()
        assert len(past.read_references()) == len(find_blobs(past.expected_lines()))
        assert names(past, Folder.GROUPS) == []
        blow.follow(past, outliving(past))
        assert sorted(past.objects.objects) == [ATTEMPTS_KEY, CATALOG_KEY]
        past.close()


def test_every_step_has_its_points() -> None:
    steps = {
        *("put groups", "send message", "open groups", "read groups", "put jetstream", "stream firehose"),
        *("stream jetstream", "put blobs", "write row", "list rows", "replace manifests", "replace catalog.json"),
        *("replace attempts.json",),
        *("delete groups", "delete jetstream", "delete firehose", "delete manifests", "delete row", "pause"),
    }
    assert steps <= POINTS.keys()


def chance() -> st.SearchStrategy[list[object]]:
    gaps = st.lists(st.one_of(st.integers(1, 9), st.integers(1, HOUR_US // 2)), min_size=1, max_size=9)
    return st.lists(
        st.one_of(
            gaps,
            st.sampled_from(["archive all", "compact", "hour", "grace", "refused", "lost", "down", "index", "hosts"]),
            st.tuples(st.sampled_from(["kill", "deliver", "reader", "step"]), st.integers(0, 200)),
        ),
        max_size=40,
    )


@given(chance(), st.sampled_from([1, 1_000, 10**6]), st.sampled_from([1, 1_000]), st.booleans())
def test_whatever_happens_readers_see_everything_and_in_the_end_all_is_joined(
    steps: list[object], segment_bytes: int, stop_bytes: int, has_blobs: bool
) -> None:
    past = Past(stop_bytes=stop_bytes, has_blobs=has_blobs)
    replay = past.replay()
    readers = [Reader(replay, 1)]
    for step in steps:
        match step:
            case list():
                past.write(*step)
            case "archive all":
                past.archive_all()
            case "compact":
                with suppress(ObjectStoreError):
                    past.compact(segment_bytes)
            case "hour" | "grace":
                past.clock.now_us += HOUR_US + SETTLE_US if step == "hour" else GRACE_US
            case "down":
                past.objects.problem = "" if past.objects.problem else "down"
            case "hosts":
                past.hosts_problem = "" if past.hosts_problem else "down"
            case "index":
                past.index.problem = "" if past.index.problem else "down"
            case "refused" | "lost":
                past.objects.faults.append(step)
            case ("kill", int(number)):
                with suppress(ObjectStoreError), past.objects.kill_after(number % 20):
                    past.compact(segment_bytes)
            case ("deliver", int(number)) if past.queue.messages:
                past.deliver(number % len(past.queue.messages))
            case ("reader", int(number)):
                near = past.events[number % len(past.events)][0] if past.events else NOON_US
                readers.append(Reader(replay if number % 2 else past.replay(), near + number % 3 - 1))
            case ("step", int(number)):
                try:
                    readers[number % len(readers)].step()
                except ObjectStoreError:
                    assert past.objects.problem
    past.objects.problem = past.index.problem = past.hosts_problem = ""
    past.objects.faults.clear()
    figures = past.compact_all()
    for reader in readers:
        reader.read_all()
        assert not reader.holes
        assert reader.seen == [event for event in past.events if event[0] >= reader.first]
    assert past.read_lines() == past.expected_lines()
    assert names(past, Folder.GROUPS) == []
    references = [each._replace(host="") for each in past.read_references()]
    assert references == find_blobs(past.expected_lines())
    kept = names(past, Folder.FIREHOSE) + names(past, Folder.JETSTREAM)
    assert set(past.index.entries) == {name.key for name in kept + names(past, Folder.BLOBS)}
    assert figures.firehose_objects + figures.jetstream_objects == len(kept)
    past.close()
