"""What a client asks for, and where its stream starts."""

from __future__ import annotations

import pytest

from edgerelay.api.subscription import Subscription
from edgerelay.relay.channel import FIREHOSE, Channel, Wire
from edgerelay.relay.cursor import Start, Window

NOW_US = 1_795_000_000_000_000
WINDOW = Window(1_000, 1_000_000)


def test_without_more_it_is_all_of_the_firehose_at_once() -> None:
    asked = Subscription(5)
    assert (asked.channel, asked.is_whole, asked.awaits_hello, asked.protocol) == (FIREHOSE, False, False, "")


@pytest.mark.parametrize(
    ("asked", "start"),
    [
        (Subscription(0), Start(NOW_US - 1_000)),
        (Subscription(0, is_whole=True), Start(NOW_US - 1_000_000)),
        (Subscription(-5, Channel(Wire.LINES)), Start(NOW_US - 1_000, outdated=True)),
        (Subscription(2**53 - 1), Start(2**53 - 1, strict=True, future=True)),
        (Subscription(2**53 - 1, Channel(Wire.ZSTD_LINES)), Start(2**53 - 1, future=True, live_if_future=True)),
    ],
)
def test_each_stream_has_its_own_cursors(asked: Subscription, start: Start) -> None:
    assert asked.start(WINDOW, last_seq=0, now_us=NOW_US) == start
