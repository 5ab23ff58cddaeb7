"""What a shard asks for."""

from __future__ import annotations

import pytest

from edgerelay.atproto.messages import MAX_OPS
from edgerelay.relay.channel import FIREHOSE, Channel, Wire
from edgerelay.relay.shard_commands import CloseReader, History, SendControl, future, outdated, refuse, refuse_future


def test_a_refusal_is_told_and_then_the_socket_is_closed() -> None:
    assert refuse("a", "ConsumerTooSlow", "no progress") == [
        SendControl("a", "ConsumerTooSlow", "no progress", is_error=True),
        CloseReader("a", "ConsumerTooSlow"),
    ]
    assert refuse_future("a")[1] == CloseReader("a", "FutureCursor")


def test_what_is_outdated_or_live_is_no_error() -> None:
    told = outdated("a")
    assert (told.reader, told.name, told.is_error) == ("a", "OutdatedCursor", False)
    told = future("a")
    assert (told.reader, told.name, told.is_error) == ("a", "FutureCursor", False)


LINES = Channel(Wire.LINES)


@pytest.mark.parametrize(
    ("missing_up_to", "channel", "last_number"),
    [(0, LINES, 0), (10, FIREHOSE, 10), (10, LINES, 10 + MAX_OPS - 1)],
)
def test_how_far_what_is_missing_may_reach(missing_up_to: int, channel: Channel, last_number: int) -> None:
    history = History(None, missing_up_to)
    assert [history.may_lack(number, channel) for number in (0, last_number, last_number + 1)] == [True, True, False]
