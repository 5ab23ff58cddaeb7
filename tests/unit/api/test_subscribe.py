"""Which path is which stream."""

from __future__ import annotations

import pytest

from edgerelay.api.message import Request
from edgerelay.api.subscribe import STREAMS, parse_subscription
from edgerelay.api.subscription import Subscription
from edgerelay.relay.channel import Wire

FIREHOSE = "/xrpc/com.atproto.sync.subscribeRepos"


@pytest.mark.parametrize(
    ("path", "wire"), [(FIREHOSE, Wire.FRAMES), ("/subscribe", Wire.LINES), ("/jetstream", Wire.LINES)]
)
def test_each_path_has_its_wire(path: str, wire: Wire) -> None:
    asked = parse_subscription(Request("GET", path, [("cursor", "7")], {"upgrade": "websocket"}, "request-7"))
    assert isinstance(asked, Subscription)
    assert (asked.cursor, asked.channel.wire) == (7, wire)


def test_there_are_no_others() -> None:
    assert sorted(STREAMS) == ["/jetstream", "/subscribe", FIREHOSE]
