"""The archivist: every event is in one group, whatever fails or is killed between any two steps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.announcement import decode_announcement
from edgerelay.archive.cutting import HOUR_US
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.relay.sealing import RETRY_CAP_US, RETRY_US
from tests.coroutines import finished
from tests.histories import NOON_US, SEAL_US, Past


@pytest.fixture
def past() -> Iterator[Past]:
    created = Past()
    yield created
    created.close()


def groups(past: Past) -> list[ObjectName]:
    return [ObjectName.parse(key) for key in sorted(past.objects.objects)]


def archived(past: Past) -> list[tuple[int, bytes]]:
    """Everything that the objects hold, one behind the other."""
    events: list[tuple[int, bytes]] = []
    for name in groups(past):
        reader, cursor = past.reader(), name.first_seq
        while cursor <= name.last_seq:
            block = finished(reader.find(cursor))
            assert block is not None
            events += block.split()
            cursor = block.head.last_seq + 1
    return events


class TestGroups:
    def test_a_group_is_stored_when_there_is_enough_for_it(self, past: Past) -> None:
        past.write(*[1] * 5)
        past.archive()
        assert groups(past) == []
        past.write(*[1] * 10)
        past.archive()
        assert groups(past) == [ObjectName(Folder.GROUPS, NOON_US + 1, NOON_US + 15)]
        assert archived(past) == past.events
        assert (past.log.archived_seq, past.log.unarchived_bytes) == (NOON_US + 15, 0)

    def test_a_group_is_stored_when_its_first_event_is_old(self, past: Past) -> None:
        past.write(5)
        past.clock.now_us = NOON_US + 5 + SEAL_US - 1
        past.archive()
        assert groups(past) == []
        past.clock.now_us += 1
        past.archive()
        assert groups(past) == [ObjectName(Folder.GROUPS, NOON_US + 5, NOON_US + 5)]

    def test_hours_do_not_share_a_group(self, past: Past) -> None:
        past.write(HOUR_US - 1, 1, 1)
        past.archive_all()
        end = NOON_US + HOUR_US
        assert [(name.first_seq, name.last_seq) for name in groups(past)] == [(end - 1, end - 1), (end, end + 1)]
        assert archived(past) == past.events

    def test_what_is_due_is_stored_group_after_group(self, past: Past) -> None:
        for _ in range(9):
            past.write(*[1] * 5)
        past.archive()
        assert [name.last_seq - name.first_seq + 1 for name in groups(past)] == [15, 15, 15]
        assert past.archivist.groups == 3
        assert past.archivist.bytes == sum(map(len, past.objects.objects.values()))

    def test_the_log_forgets_what_is_in_the_bucket_and_nothing_else(self, past: Past) -> None:
        past.write(1, 1)
        past.write(1, 1)
        past.write(1)
        assert past.log.missing_up_to == 0, "nothing is archived"
        past.archive_all()
        past.write(1)
        assert past.log.missing_up_to == NOON_US + 4
        past.write(1)
        assert past.log.missing_up_to == NOON_US + 5, "the last batch but one was archived, the newest was not"

    def test_two_groups_cost_two_rows_each(self, past: Past) -> None:
        past.write(*[1] * 15)
        past.write(*[1] * 15)
        before = past.sql.rows_written
        past.archive()
        assert (len(groups(past)), past.sql.rows_written - before) == (2, 4)


class TestFailures:
    @pytest.mark.parametrize("fault", ["refused", "lost"])
    def test_a_put_that_fails_is_tried_again_later_with_the_same_group(self, past: Past, fault: str) -> None:
        past.write(*[1] * 15)
        past.objects.faults = [fault]
        past.archive()
        assert (past.archivist.failures, past.archivist.last_problem) == (1, fault)
        assert past.lines.named("group_failed") == [{"problem": fault}]
        past.write(*[1] * 15)
        past.archive()
        assert past.archivist.groups == 0, "not before the pause is over"
        past.clock.now_us += RETRY_US
        past.archive()
        assert [name.last_seq - name.first_seq + 1 for name in groups(past)] == [15, 15]
        assert past.archivist.last_problem == ""
        assert archived(past) == past.events

    def test_a_bucket_that_is_down_fills_the_log_and_loses_nothing(self, past: Past) -> None:
        past.objects.problem = "down"
        for _ in range(20):
            past.write(*[1] * 5)
            past.archive_all()
        assert past.log.is_full(past.clock.now_us, past.log.last_seq)
        assert past.log.missing_up_to == 0
        past.objects.problem = ""
        past.archive_all()
        assert archived(past) == past.events
        assert not past.log.is_full(past.clock.now_us, past.log.last_seq)

    def test_a_defect_of_ours_ends_nothing_else_and_is_said(self, past: Past) -> None:
        past.write(1)
        past.sql.execute("UPDATE log SET head = substr(head, 2)")
        past.archive_all()
        assert past.archivist.failures == 1
        ((problem,),) = [line.values() for line in past.lines.named("group_failed")]
        assert problem == past.archivist.last_problem != ""
        past.archive()
        assert past.archivist.failures == 1, "not again before the pause is over"

    @pytest.mark.parametrize("statements", range(3))
    @pytest.mark.parametrize("grown", [False, True])
    def test_a_kill_between_two_steps_stores_the_same_group_again(
        self, past: Past, statements: int, grown: bool
    ) -> None:
        past.write(1, 1)
        past.clock.now_us += SEAL_US
        with past.sql.crash_after(statements):
            past.archive()
        past.open()
        if grown:
            past.write(1)
        past.archive_all()
        assert archived(past) == past.events
        assert len({name.first_seq for name in groups(past)}) == len(groups(past))


class TestAnnouncements:
    def test_each_group_is_announced_when_it_is_stored(self, past: Past) -> None:
        past.write(*[1] * 15)
        past.objects.faults = ["refused"]
        past.archive()
        assert past.queue.messages == []
        past.clock.now_us += RETRY_US
        past.archive()
        assert [decode_announcement(text) for text in past.queue.messages] == groups(past)

    def test_a_queue_that_is_down_holds_up_nothing_and_loses_nothing(self, past: Past) -> None:
        past.queue.problem = "down"
        past.write(*[1] * 15)
        past.write(*[1] * 15)
        past.archive()
        assert (past.archivist.groups, past.archivist.failures, past.archivist.last_problem) == (2, 0, "")
        assert [line["problem"] for line in past.lines.named("announcement_failed")] == ["down", "down"]
        past.compact_all()
        assert past.read_lines() == past.expected_lines()


STEPS = st.lists(
    st.one_of(
        st.lists(st.one_of(st.integers(1, 50), st.integers(1, HOUR_US // 2)), min_size=1, max_size=9),
        st.sampled_from(["archive", "wait", "open", "refused", "lost"]),
        st.integers(0, 4),
    ),
    max_size=30,
)


@given(STEPS)
def test_whatever_happens_every_event_is_in_one_group_in_order(steps: list[list[int] | str | int]) -> None:
    past = Past()
    for step in steps:
        match step:
            case list():
                past.write(*step)
            case int():
                past.archive(pauses=step)
            case "archive":
                past.archive()
            case "wait":
                past.clock.now_us += RETRY_CAP_US
            case "open":
                past.open()
            case str(fault):
                past.objects.faults.append(fault)
    past.objects.faults.clear()
    past.archive_all()
    names = groups(past)
    assert archived(past) == past.events
    assert all(name.first_seq // HOUR_US == name.last_seq // HOUR_US for name in names)
    assert past.log.unarchived_seq == 0
    past.close()
