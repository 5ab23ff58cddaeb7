"""What a client asks for when it subscribes, whichever stream it is; and what is refused on all that speak XRPC."""

from __future__ import annotations

from typing import NamedTuple

from edgerelay.api.message import Request, Response, error_response
from edgerelay.relay.channel import FIREHOSE, Channel, Wire
from edgerelay.relay.cursor import Start, Window, resolve_cursor, resolve_jetstream_cursor

__all__ = ["Subscription", "refuse_without_upgrade"]


class Subscription(NamedTuple):
    """A stream, from somewhere on."""

    cursor: int | None
    channel: Channel = FIREHOSE
    is_whole: bool = False
    """A cursor that is no time stands for everything that is kept, not for the usual hours."""

    awaits_hello: bool = False
    """Nothing is sent until the client has said what it wants."""

    protocol: str = ""
    """The subprotocol of WebSocket that was chosen, if one was offered."""

    def start(self, window: Window, *, last_seq: int, now_us: int) -> Start:
        """Where to start, as `relay.cursor` says for the stream."""
        if self.channel.wire is not Wire.FRAMES:
            return resolve_jetstream_cursor(self.cursor, window, last_seq=last_seq, now_us=now_us)
        window = window.whole() if self.is_whole else window
        return resolve_cursor(self.cursor, window, last_seq=last_seq, now_us=now_us)


def refuse_without_upgrade(request: Request) -> Response | None:
    """The refusal of a request that opens no WebSocket: 405 or 426."""
    if request.method != "GET":
        return error_response(request, 405, "MethodNotAllowed", "subscriptions are GET requests", {"allow": "GET"})
    if request.headers.get("upgrade", "").lower() != "websocket":
        message = "this endpoint is a WebSocket stream"
        return error_response(request, 426, "UpgradeRequired", message, {"upgrade": "websocket"})
    return None
