"""Which path is which stream."""

from __future__ import annotations

import pytest

from edgerelay.api.message import Request
from edgerelay.api.subscribe import STREAMS, parse_subscription
from edgerelay.api.subscription import Subscription
from edgerelay.relay.channel import Wire

CURSOR = 1_795_000_000_000_000
EVENTS = "/xrpc/network.bsky.jetstream.subscribeEvents"
FIREHOSE = "/xrpc/com.atproto.sync.subscribeRepos"


@pytest.mark.parametrize(
    ("path", "wire"),
    [(FIREHOSE, Wire.FRAMES), ("/subscribe", Wire.LINES), ("/jetstream", Wire.LINES), (EVENTS, Wire.EVENTS)],
)
def test_each_path_has_its_wire(path: str, wire: Wire) -> None:
    asked = parse_subscription(Request("GET", path, [("cursor", str(CURSOR))], {"upgrade": "websocket"}, "request-7"))
    assert isinstance(asked, Subscription)
    assert (asked.cursor, asked.channel.wire) == (CURSOR, wire)


def test_there_are_no_others() -> None:
    assert sorted(STREAMS) == ["/jetstream", "/subscribe", FIREHOSE, EVENTS]
