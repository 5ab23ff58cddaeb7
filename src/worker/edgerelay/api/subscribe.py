"""The streams: which path is which, up to the point where the socket opens.

Whatever can be refused is refused before the upgrade.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edgerelay.api import firehose, jetstream, subscribe_events
from edgerelay.api.message import Request, Response
from edgerelay.api.subscription import Subscription

__all__ = ["STREAMS", "parse_subscription"]

STREAMS: Final[Mapping[str, Callable[[Request], Subscription | Response]]] = {
    firehose.PATH: firehose.parse_firehose,
    **dict.fromkeys(jetstream.PATHS, jetstream.parse_jetstream),
    subscribe_events.PATH: subscribe_events.parse_subscribe_events,
}
"""By their paths."""


def parse_subscription(request: Request) -> Subscription | Response:
    """Read a request for one of the streams, or refuse it."""
    return STREAMS[request.path](request)
