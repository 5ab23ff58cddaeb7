"""The way in: what each frame turns out to be, at every place relative to the position."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cbor2 import dumps
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.frames import MAX_FRAME_BYTES, MAX_SEQ, ErrorFrame, Frame
from edgerelay.atproto.messages import KINDS, LEGACY_KINDS, Info
from edgerelay.relay.intake import (
    MAX_RELAYED_BYTES,
    Arrival,
    Candidate,
    Intake,
    Repeat,
    ResetProven,
)
from edgerelay.relay.position import Position, PositionRow, Seen
from edgerelay.relay.reject import RejectReason
from edgerelay.relay.rejections import Refused
from tests import vectors
from tests.oracle import frames
from tests.playbook import exact

DID, OTHER = frames.did(1), frames.did(2)
NOW_US = frames.NOW_US
NEWEST_REV = 2**60


def is_news(did: str, rev: str) -> bool:
    """The account with `DID` is known up to `NEWEST_REV`; no other is known."""
    return did != DID or rev > frames.tid(NEWEST_REV)


def intake(
    low: int = 0,
    done: tuple[tuple[int, int], ...] = (),
    *,
    newest: int = NOW_US,
    replay: int = 0,
    strict: bool = True,
    from_live: bool = False,
) -> tuple[Intake, Position]:
    position = Position(PositionRow(1, 0, low, done, newest, replay))
    return Intake(position, is_news, strict=strict, from_live=from_live), position


def new_rev(seq: int, **fields: Any) -> bytes:
    return frames.commit(seq, DID, frames.tid(NEWEST_REV + seq), **fields)


def old_rev(seq: int, **fields: Any) -> bytes:
    return frames.commit(seq, DID, frames.tid(NEWEST_REV - 1), **fields)


def reason(arrival: Arrival) -> RejectReason:
    assert isinstance(arrival, Refused)
    return arrival.reason


class TestNews:
    def test_an_event_becomes_a_candidate(self) -> None:
        made, position = intake(4)
        raw = new_rev(5)
        candidate = made.take(raw)
        assert isinstance(candidate, Candidate)
        assert (candidate.host_id, candidate.epoch, candidate.verdict) == (1, 0, None)
        assert (candidate.frame.raw, candidate.message.seq, candidate.size_bytes) == (raw, 5, len(raw))
        assert position.seen(5) is Seen.PENDING

    @pytest.mark.parametrize(
        "raw", [frames.sync(5, DID, frames.tid(1)), frames.identity(5, DID), frames.account(5, DID, active=False)]
    )
    def test_every_kind_does(self, raw: bytes) -> None:
        assert isinstance(intake(4)[0].take(raw), Candidate)

    def test_a_rev_is_not_looked_at_above_the_position(self) -> None:
        """Whether an account goes on is decided when its turn comes, not when the frame arrives."""
        assert isinstance(intake(4)[0].take(old_rev(5)), Candidate)

    def test_what_has_no_number_of_its_own(self) -> None:
        made, position = intake(4)
        assert made.take(frames.frame("#info", {"name": "OutdatedCursor"})) == Info("OutdatedCursor", "")
        assert made.take(frames.error("ConsumerTooSlow", "bye")) == ErrorFrame("ConsumerTooSlow", "bye")
        assert position.row().low == 4


class TestRefused:
    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            (b"\xa1", RejectReason.BAD_ENCODING),
            (dumps({"op": 1}) + b"\xa0", RejectReason.BAD_HEADER),
            (dumps({"op": 5}) + b"\xa0", RejectReason.UNKNOWN_OP),
            (bytes(MAX_FRAME_BYTES + 1), RejectReason.OVERSIZE_FRAME),
            (frames.frame("#label", {"seq": 5}), RejectReason.UNKNOWN_KIND),
            (frames.frame("#label", {}), RejectReason.UNKNOWN_KIND),
            (frames.frame("#tombstone", {"seq": 5}), RejectReason.LEGACY_KIND),
            (frames.frame("#sync", {"seq": 5}), RejectReason.MISSING_FIELD),
            (frames.identity(5, DID, handle=5), RejectReason.WRONG_TYPE),
            (frames.sync(5, DID, "later"), RejectReason.BAD_VALUE),
            (frames.identity(0, DID), RejectReason.BAD_VALUE),
            (frames.commit(5, DID, frames.tid(1), ops=[0] * 201), RejectReason.TOO_MANY_OPS),
            (frames.sync(5, DID, frames.tid(1), blocks=bytes(10_001)), RejectReason.BLOCKS_TOO_LARGE),
        ],
    )
    def test_the_reason_has_a_name(self, raw: bytes, expected: RejectReason) -> None:
        assert reason(intake(4)[0].take(raw)) is expected

    def test_what_is_refused_is_finished(self) -> None:
        made, position = intake(4)
        made.take(frames.frame("#label", {"seq": 9}))
        made.take(frames.sync(11, DID, "later"))
        assert position.row().low == 11

    @pytest.mark.parametrize("seq", [3, 4, 6])
    def test_it_is_refused_once(self, seq: int) -> None:
        made, position = intake(4, ((6, 6),))
        assert exact([made.take(frames.frame("#label", {"seq": seq}))]) == exact([Repeat(seq)])
        assert position.row().low == 4

    @pytest.mark.parametrize("seq", [0, -1, MAX_SEQ + 1, None, "5", True])
    def test_without_a_number_in_range_it_moves_nothing(self, seq: object) -> None:
        made, position = intake(4)
        assert isinstance(made.take(frames.frame("#label", {"seq": seq})), Refused)
        assert isinstance(made.take(frames.frame("#sync", {"seq": seq})), Refused)
        assert position.row() == PositionRow(1, 0, 4, (), NOW_US, 0)

    def test_a_frame_without_room_for_our_number(self) -> None:
        """Its number would make it longer than any frame may be, and cut off whoever reads it."""
        overhead = len(frames.identity(5, DID, x=bytes(2**16))) - 2**16
        largest = frames.identity(5, DID, x=bytes(MAX_RELAYED_BYTES - overhead))
        assert isinstance(intake()[0].take(largest), Candidate)
        larger = frames.identity(5, DID, x=bytes(MAX_RELAYED_BYTES - overhead + 1))
        made, position = intake()
        assert reason(made.take(larger)) is RejectReason.OVERSIZE_FRAME
        assert position.row().low == 5

    def test_another_encoding_is_a_matter_of_strictness(self) -> None:
        raw = dumps({"op": 1, "t": "#identity"}) + dumps({"seq": 5, "time": frames.datetime_text(0), "did": DID})
        assert reason(intake()[0].take(raw)) is RejectReason.BAD_ENCODING
        assert isinstance(intake(strict=False)[0].take(raw), Candidate)

    def test_what_has_the_form_of_a_name_is_shown(self) -> None:
        refused = intake()[0].take(frames.frame("#label", {"seq": 1, "did": frames.did(1), "rev": frames.tid(7)}))
        assert refused == (RejectReason.UNKNOWN_KIND, "#label", "#label", 1, frames.did(1), frames.tid(7))

    @pytest.mark.parametrize("kind", ["#" + "x" * 10_000, "#a note of mine", "a", ""])
    def test_whatever_else_stands_there_is_not(self, kind: str) -> None:
        refused = intake()[0].take(frames.frame(kind, {"seq": 1, "did": "a note", "rev": ["a note"]}))
        assert refused == (RejectReason.UNKNOWN_KIND, "no name", "", 1, "", "")


class TestOrder:
    def test_a_number_that_does_not_increase_on_one_connection_is_refused(self) -> None:
        made, _ = intake()
        made.take(new_rev(5))
        for seq in (5, 4):
            assert reason(made.take(new_rev(seq))) is RejectReason.SEQ_ORDER
        assert isinstance(made.take(new_rev(6)), Candidate)

    def test_refused_events_count_for_the_order_too(self) -> None:
        made, _ = intake()
        made.take(frames.frame("#label", {"seq": 5}))
        assert reason(made.take(new_rev(5))) is RejectReason.SEQ_ORDER

    def test_a_new_connection_may_begin_anywhere(self) -> None:
        made, _ = intake()
        made.take(new_rev(5))
        made.connected()
        assert exact([made.take(new_rev(5))]) == exact([Repeat(5)])
        assert isinstance(made.take(new_rev(6)), Candidate)


class TestLiveStart:
    def test_a_host_that_was_never_read_begins_with_its_first_event(self) -> None:
        made, position = intake(from_live=True)
        made.take(new_rev(500))
        assert (position.row().low, position.seen(499)) == (499, Seen.BELOW)
        made.take(new_rev(600))
        assert position.row().low == 499

    def test_what_lies_before_the_first_event_proves_nothing(self) -> None:
        """A host whose cursors are inclusive repeats the one before it, which was never read."""
        made, position = intake(from_live=True, newest=0)
        made.take(new_rev(500))
        position.heard_of(NOW_US)
        made.connected()
        assert exact([made.take(frames.commit(499, OTHER, frames.tid(1), time_us=NOW_US - 1))]) == exact([Repeat(499)])

    def test_a_known_position_stays(self) -> None:
        made, position = intake(4, from_live=True)
        made.take(new_rev(500))
        assert position.row().low == 4


class TestRepeats:
    @pytest.mark.parametrize(
        "raw", [old_rev(4), frames.sync(4, DID, frames.tid(5)), frames.identity(4, OTHER), frames.account(4, OTHER)]
    )
    def test_an_inclusive_host_repeats_the_event_at_the_position(self, raw: bytes) -> None:
        made, position = intake(4)
        assert exact([made.take(raw)]) == exact([Repeat(4)])
        assert position.row().low == 4

    def test_one_that_was_refused_is_a_repeat_although_its_rev_is_news(self) -> None:
        assert exact([intake(4)[0].take(new_rev(4))]) == exact([Repeat(4)])
        assert exact([intake(4)[0].take(frames.commit(4, OTHER, frames.tid(1)))]) == exact([Repeat(4)])

    def test_events_that_finished_out_of_order_are_passed_over(self) -> None:
        made, position = intake(4, ((6, 7),))
        arrivals = [made.take(new_rev(seq)) for seq in (5, 6, 7, 8)]
        assert [type(each) for each in arrivals] == [Candidate, Repeat, Repeat, Candidate]
        assert position.row().done == ((6, 7),), "a crash now must not forget them"
        for seq in (5, 8):
            position.finish(seq)
        assert position.row().low == 8

    def test_an_event_that_waits_is_not_taken_twice(self) -> None:
        made, position = intake(4)
        made.take(new_rev(5))
        made.connected()
        assert exact([made.take(new_rev(5))]) == exact([Repeat(5)])
        assert position.seen(5) is Seen.PENDING


class TestReset:
    @pytest.mark.parametrize("seq", [1, 3])
    @pytest.mark.parametrize("kind", [frames.commit, frames.sync])
    def test_a_newer_rev_below_the_position_proves_it(self, seq: int, kind: Any) -> None:
        assert exact([intake(4)[0].take(kind(seq, DID, frames.tid(NEWEST_REV + 1)))]) == exact([ResetProven(seq)])

    def test_at_the_position_its_time_must_be_newer_too(self) -> None:
        assert exact([intake(4)[0].take(new_rev(4, time_us=NOW_US + 1))]) == exact([ResetProven(4)])
        assert exact([intake(4)[0].take(old_rev(4, time_us=NOW_US + 1))]) == exact([Repeat(4)])

    @pytest.mark.parametrize("raw", [old_rev(3), frames.identity(3, DID), frames.account(3, DID)])
    def test_nothing_else_does(self, raw: bytes) -> None:
        assert exact([intake(4)[0].take(raw)]) == exact([Repeat(3)])

    def test_events_without_a_rev_are_told_by_their_time_when_they_are_read_again(self) -> None:
        made, position = intake(0, replay=NOW_US)
        assert exact([made.take(frames.identity(1, DID, time_us=NOW_US))]) == exact([Repeat(1)])
        assert isinstance(made.take(frames.identity(2, DID, time_us=NOW_US + 1)), Candidate)
        assert (position.row().low, position.seen(2)) == (1, Seen.PENDING)

    def test_a_sync_that_repeats_a_rev_is_told_by_its_time_too(self) -> None:
        made, _ = intake(0, replay=NOW_US)
        assert exact([made.take(frames.sync(1, DID, frames.tid(NEWEST_REV)))]) == exact([Repeat(1)])
        assert isinstance(made.take(frames.sync(2, DID, frames.tid(NEWEST_REV), time_us=NOW_US + 1)), Candidate)
        assert isinstance(made.take(frames.sync(3, DID, frames.tid(NEWEST_REV + 1))), Candidate)

    def test_a_commit_is_told_by_its_rev_when_its_turn_comes(self) -> None:
        assert isinstance(intake(0, replay=NOW_US)[0].take(old_rev(1)), Candidate)


@given(st.lists(st.binary(max_size=80) | st.integers(0, 12), max_size=12), st.integers(0, 6), st.booleans())
def test_whatever_a_peer_sends_has_a_name(some: list[bytes | int], low: int, strict: bool) -> None:
    made, position = intake(low, ((low + 2, low + 3),), strict=strict)
    for each in some:
        arrival = made.take(
            each if isinstance(each, bytes) else new_rev(each) if each % 2 else frames.identity(each, DID)
        )
        assert isinstance(arrival, Candidate | Refused | Repeat | ResetProven | ErrorFrame | Info)
    assert position.row().low >= low


@pytest.mark.parametrize("name", vectors.CAPTURES)
def test_recorded_frames_pass_but_for_legacy_ones(shared_data: Path, name: str) -> None:
    made, _ = intake()
    for raw in vectors.capture(shared_data, name):
        arrival = made.take(raw)
        kind = frames.parts(raw)[0]["t"]
        if kind in LEGACY_KINDS:
            assert reason(arrival) is RejectReason.LEGACY_KIND
        else:
            assert isinstance(arrival, Candidate)
            assert isinstance(arrival.frame, Frame)
            assert arrival.frame.kind in KINDS
