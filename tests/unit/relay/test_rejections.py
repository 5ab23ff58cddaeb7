"""What was refused: counted from zero, with the latest examples and one frame of each reason."""

from __future__ import annotations

from edgerelay.relay.reject import RejectReason
from edgerelay.relay.rejections import FRAME_HEAD_BYTES, LATEST, Example, Refused, Rejections

BAD_CAR, WRONG_HOST = RejectReason.BAD_CAR, RejectReason.WRONG_HOST


def test_every_reason_is_a_series_from_the_start() -> None:
    rejections = Rejections()
    assert dict(rejections) == dict.fromkeys(RejectReason, 0)
    assert rejections.total == 0
    assert (rejections.latest(BAD_CAR), rejections.frame(BAD_CAR)) == ([], b"")


def test_counts() -> None:
    rejections = Rejections()
    for reason in (BAD_CAR, BAD_CAR, WRONG_HOST):
        rejections.add(Refused(reason, ""), b"", 1)
    assert {reason: count for reason, count in rejections if count} == {"bad_car": 2, "wrong_host": 1}
    assert rejections.total == 3


def test_the_latest_examples_of_each_reason_are_kept() -> None:
    rejections = Rejections()
    for time_us in range(LATEST + 2):
        rejections.add(Refused(BAD_CAR, "cut short"), bytes([time_us]), time_us)
    rejections.add(Refused(WRONG_HOST, ""), b"other", 99)
    assert [each.time_us for each in rejections.latest(BAD_CAR)] == list(range(2, LATEST + 2))
    assert (rejections.frame(BAD_CAR), rejections.frame(WRONG_HOST)) == (bytes([LATEST + 1]), b"other")


def test_an_example_is_all_that_was_said() -> None:
    rejections = Rejections()
    old = Refused(RejectReason.STALE_REV, "old", "#commit", 7, "did:plc:who", "rev")
    rejections.add(old, b"frame", 5)
    assert dict(rejections)[RejectReason.STALE_REV] == 1
    assert rejections.latest(RejectReason.STALE_REV) == [Example(5, old)]


def test_of_a_frame_the_beginning_is_kept() -> None:
    rejections = Rejections()
    rejections.add(Refused(BAD_CAR, ""), bytes(FRAME_HEAD_BYTES) + b"rest", 1)
    assert rejections.frame(BAD_CAR) == bytes(FRAME_HEAD_BYTES)
