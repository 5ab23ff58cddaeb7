"""Events come in order, each once, whatever objects they lie in; and what cannot match is not read."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.object_names import Folder
from edgerelay_dev.operator.catalogue import Problem
from edgerelay_dev.operator.selection import Selection
from edgerelay_dev.operator.timeline import ArchivedEvent, Timeline
from tests.archives import COLLECTIONS, DIDS, Archive, an_event, block_of, history
from tests.coroutines import finished
from tests.packing import CODECS, HOUR_US

EVENTS = history(60)


def cuts(length: int) -> st.SearchStrategy[list[int]]:
    """Where to cut so many things, both ends included."""
    return st.sets(st.integers(1, length - 1), max_size=12).map(lambda inner: [0, *sorted(inner), length])


@st.composite
def archives(draw: st.DrawFn) -> Archive:
    """The history, cut into blocks and groups; and some of its blocks once more, in segments of other bounds.

    A part may be cut anew into other blocks: nobody writes so, and it must not matter.
    """
    archive = Archive()
    for folder in (Folder.GROUPS, Folder.FIREHOSE):
        bounds = draw(cuts(len(EVENTS)))
        blocks = [block_of(EVENTS[a:b], EVENTS[a - 1].seq if a else HOUR_US) for a, b in pairwise(bounds)]
        ends = draw(cuts(len(blocks))) if len(blocks) > 1 else [0, 1]
        for a, b in pairwise(ends):
            if folder is Folder.GROUPS or draw(st.booleans()):
                archive.put(*blocks[a:b], folder=folder)
    return archive


selections = st.builds(
    Selection,
    st.integers(HOUR_US, HOUR_US + 700),
    st.integers(HOUR_US, HOUR_US + 700),
    st.frozensets(st.sampled_from(DIDS), max_size=2),
    st.frozensets(st.sampled_from(COLLECTIONS), max_size=2),
)


def wanted(selection: Selection) -> list[ArchivedEvent]:
    """The same by looking at each event."""
    return [
        event
        for event in EVENTS
        if selection.first_seq <= event.seq < selection.end_seq
        and (not selection.dids or event.did in selection.dids)
        and (not selection.collections or selection.collections & {path.split("/")[0] for path in event.paths})
    ]


@given(archives(), selections)
def test_each_event_that_is_wanted_comes_once_and_in_order(archive: Archive, selection: Selection) -> None:
    assert archive.read(selection)[0] == wanted(selection)
    assert archive.read()[0] == EVENTS
    assert archive.problems == []


class TestReading:
    def test_blocks_that_cannot_match_are_not_read(self) -> None:
        archive, rare = Archive(), an_event(HOUR_US + 1_000, "did:web:rare.example", "org.example.rare")
        archive.put_history([*EVENTS, rare], block_events=5, object_blocks=3)
        for selection in (
            Selection(dids=frozenset([rare.did])),
            Selection(collections=frozenset(["org.example.rare"])),
        ):
            events, counts = archive.read(selection)
            assert events == [rare]
            assert (counts.objects, counts.outside, counts.read, counts.skipped) == (5, 0, 1, 12)

    def test_objects_of_another_time_are_not_opened(self) -> None:
        archive = Archive()
        archive.put_history(EVENTS, block_events=5, object_blocks=3)
        archive.objects.reads = 0
        events, counts = archive.read(Selection(first_seq=EVENTS[52].seq))
        assert events == EVENTS[52:]
        assert (counts.objects, counts.outside, counts.read, counts.skipped) == (4, 3, 2, 1)
        assert archive.objects.reads == 2, "an index, and two blocks that follow each other"

    def test_what_is_in_two_objects_is_read_from_the_segment(self) -> None:
        archive = Archive()
        [group] = archive.put_history(EVENTS, block_events=20, object_blocks=3)
        archive.put(block_of(EVENTS[20:40], EVENTS[19].seq), folder=Folder.FIREHOSE)
        damaged = archive.objects.objects[group].replace(EVENTS[30].frame, bytes(len(EVENTS[30].frame)))
        archive.objects.objects[group] = damaged
        events, counts = archive.read()
        assert (events, archive.problems) == (EVENTS, [])
        assert (counts.read, counts.repeated) == (3, 1)

    def test_no_more_is_opened_than_it_takes(self) -> None:
        archive, opened = Archive(), list[int]()
        archive.put_history(EVENTS, block_events=5, object_blocks=1)
        timeline = Timeline(archive.catalogue, Selection(), CODECS)

        async def first() -> ArchivedEvent:
            inside = timeline.inside(await archive.catalogue.list())
            return await anext(aiter(timeline.events(inside, lambda: opened.append(1))))

        assert finished(first()) == EVENTS[0]
        assert len(opened) == 2


class TestGenerations:
    def test_a_newer_object_replaces_an_older_one(self) -> None:
        archive = Archive()
        archive.put(block_of(EVENTS[:9], HOUR_US))
        kept = [EVENTS[0], *EVENTS[3:9]]
        archive.put(block_of(kept, HOUR_US, generation=1), generation=1)
        events, counts = archive.read()
        assert (events, counts.objects, counts.repeated) == (kept, 1, 0)

    def test_a_newer_block_is_heard_wherever_it_lies(self) -> None:
        archive = Archive()
        archive.put(block_of(EVENTS[:9], HOUR_US), folder=Folder.FIREHOSE)
        kept = [EVENTS[0], *EVENTS[3:9]]
        archive.put(block_of(kept, HOUR_US, generation=1), block_of(EVENTS[9:12], EVENTS[8].seq), generation=1)
        assert archive.read()[0] == [*kept, *EVENTS[9:12]]
        assert archive.read(Selection(dids=frozenset([EVENTS[1].did])))[0] == [EVENTS[7]]


class TestProblems:
    def test_a_hole_is_told(self) -> None:
        archive = Archive()
        [_, missing, _] = archive.put_history(EVENTS, block_events=5, object_blocks=4)
        del archive.objects.objects[missing]
        assert archive.read()[0] == EVENTS[:20] + EVENTS[40:]
        [problem] = archive.problems
        assert problem.where == "hole in firehose"
        assert f"behind {EVENTS[19].seq} (" in problem.what
        assert f"up to {EVENTS[39].seq} (" in problem.what

    def test_a_damaged_block_is_named_and_another_copy_is_read(self) -> None:
        archive = Archive()
        [group] = archive.put_history(EVENTS, block_events=20, object_blocks=3)
        damaged = bytearray(archive.objects.objects[group])
        damaged[200] ^= 1
        archive.objects.objects[group] = bytes(damaged)
        assert archive.read()[0] == EVENTS[20:]
        assert [problem.where for problem in archive.problems] == [group]
        archive.put(block_of(EVENTS[:20], HOUR_US), folder=Folder.FIREHOSE)
        assert archive.read()[0] == EVENTS

    def test_an_object_that_is_cut_short_is_named(self) -> None:
        archive = Archive()
        [first, second] = archive.put_history(EVENTS, block_events=10, object_blocks=3)
        archive.objects.objects[first] = archive.objects.objects[first][:-10]
        assert archive.read()[0] == EVENTS[30:]
        assert archive.problems == [Problem(first, "truncated: it begins as a container and does not end as one")]
        assert second in archive.objects.objects
