"""The directory: when it counts as down, when as back, and when it is asked meanwhile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgerelay.relay.directory import DOWN_AT, LATEST, PROBE_CAP_US, PROBE_US, Directory, is_listed
from tests.oracle import frames

NOW_US = frames.NOW_US
A, B, CONTROL = (frames.did(number) for number in (1, 2, 3))
WEB = "did:web:alice.test"


def fail(directory: Directory, *dids: str) -> Directory:
    for did in dids:
        directory.fails(did, NOW_US)
    return directory


def down() -> Directory:
    made = fail(Directory(), *[A, B] * DOWN_AT)
    assert made.is_down
    return made


def test_it_lists_one_method() -> None:
    assert [is_listed(did) for did in (A, WEB, "did:key:z")] == [True, False, False]


class TestDown:
    def test_most_of_the_latest_look_ups_must_have_failed(self) -> None:
        made = fail(Directory(), *[A, B] * 3)
        assert not made.is_down
        assert fail(made, A).is_down
        assert made.probe_us == NOW_US + PROBE_US

    def test_failures_of_long_ago_do_not_count(self) -> None:
        made = Directory()
        for _ in range(20):
            fail(made, A, B)
            made.succeeds()
        assert not made.is_down

    def test_one_did_alone_proves_nothing(self) -> None:
        assert not fail(Directory(), *[A] * 100).is_down

    def test_if_there_is_a_control_it_must_have_failed_too(self) -> None:
        made = Directory()
        made.knows(CONTROL)
        assert made.choose_control(A) == CONTROL
        assert not fail(made, *[A, B] * 50).is_down
        assert fail(made, CONTROL).is_down

    def test_a_control_is_another_did_than_the_one_that_failed(self) -> None:
        made = Directory()
        assert made.choose_control(A) == ""
        made.knows(A)
        assert [made.choose_control(did) for did in (B, A)] == [A, ""]

    def test_only_what_it_lists_can_be_a_control(self) -> None:
        made = Directory()
        made.knows(WEB)
        assert made.choose_control(A) == ""


class TestBack:
    def test_the_first_answer_ends_it(self) -> None:
        made = down()
        assert made.succeeds()
        assert (made.is_down, made.answers) == (False, 1)
        assert not made.succeeds()

    def test_failures_before_it_are_forgotten(self) -> None:
        made = down()
        made.succeeds()
        assert not fail(made, *[A, B] * 3).is_down
        assert fail(made, A).is_down


class TestProbes:
    def test_the_pause_grows_with_each_question_and_begins_anew(self) -> None:
        made = down()
        for _ in range(2):
            pauses = []
            for _ in range(6):
                made.probed()
                before_us = made.probe_us
                made.leave_alone(0, before_us)
                pauses.append((made.probe_us - before_us) // PROBE_US)
            assert pauses == [2, 4, 8, 15, 15, 15]
            assert PROBE_CAP_US == 15 * PROBE_US
            made.succeeds()
            fail(made, *[A, B] * DOWN_AT)
            made.probe_us = NOW_US

    def test_it_is_left_alone_as_long_as_it_asks_whoever_was_told(self) -> None:
        made = down()
        made.leave_alone(100 * PROBE_US, NOW_US)
        made.leave_alone(0, NOW_US)
        assert made.probe_us == NOW_US + 100 * PROBE_US

    def test_many_failures_at_once_do_not_make_it_longer(self) -> None:
        made = down()
        for _ in range(24):
            fail(made, A)
            made.leave_alone(0, NOW_US)
        assert made.probe_us == NOW_US + PROBE_US


@given(st.lists(st.sampled_from([A, B, CONTROL, ""]), max_size=60))
def test_it_is_down_if_enough_of_the_latest_failed_for_more_than_one(history: list[str]) -> None:
    made = Directory()
    latest: list[str] = []
    was_down = False
    for did in history:
        latest = [*latest, did][-LATEST:]
        if did:
            made.fails(did, NOW_US)
            failing = [each for each in latest if each]
            was_down = was_down or (len(failing) >= DOWN_AT and len(set(failing)) > 1)
        else:
            made.succeeds()
            latest = [] if was_down else latest
            was_down = False
        assert made.is_down == was_down
