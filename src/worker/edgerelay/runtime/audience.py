"""The subscribers of one shard, as those who asked for something: who gets what, and what each says meanwhile.

Clients of Jetstream v1 are listened to, those of v2 must say nothing, and whatever others send is ignored (event
streams, "Server"). But nobody may say too much.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edgerelay.api.jetstream import MAX_MESSAGE_BYTES, Close, parse_message
from edgerelay.archive.jetstream_v2 import encode_event_error, encode_event_info
from edgerelay.atproto.frames import encode_error, encode_info
from edgerelay.relay.channel import Wire
from edgerelay.relay.patience import Patience
from edgerelay.runtime.seats import Seat, Seats

__all__ = ["POLICY_VIOLATION", "Audience"]

POLICY_VIOLATION: Final = 1008
"""The code of a close frame for whatever a client must not do."""


class Audience:
    """Seats by the names of their readers."""

    def __init__(self, seats: Seats, pack: Callable[[bytes], bytes]) -> None:
        """`pack` makes the bytes of a packed message."""
        self._seats = seats
        self._pack = pack
        self._seated: dict[str, Seat] = {}
        self._patience: dict[str, Patience] = {}

    def restore(self, attached: Mapping[str, str]) -> list[Seat]:
        """Take over the sockets that outlived our memory, with what is attached to each."""
        self._seated = {reader: self._seats.recall(reader, text) for reader, text in attached.items()}
        self._seats.forget_others(attached)
        return list(self._seated.values())

    def seat(self, seat: Seat) -> str:
        """Give a reader a seat, or another one; answers what is to be attached to its socket.

        Raises:
            SeatTooLargeError: its former seat still holds.
        """
        attached = self._seats.keep(seat)
        self._seated[seat.reader] = seat
        return attached

    def say(self, reader: str, name: str, message: str, *, is_error: bool) -> bytes | str | None:
        """Something that is no event, on a reader's wire; None on that of Jetstream v1, which has no words for it."""
        match self._seated[reader].channel.wire:
            case Wire.FRAMES:
                return encode_error(name, message) if is_error else encode_info(name, message)
            case Wire.EVENTS | Wire.ZSTD_EVENTS as wire:
                said = encode_event_error(name, message) if is_error else encode_event_info(name, message)
                return said if wire is Wire.EVENTS else self._pack(said.encode())
        return None

    def hear(self, reader: str, message: str | bytes, now_us: int) -> Seat | Close | None:
        """A client says something: the seat that it wants to have, or its end; None if nothing comes of it."""
        size_bytes = len(message.encode(errors="replace") if isinstance(message, str) else message)
        if not self._patience.setdefault(reader, Patience()).bears(size_bytes, now_us):
            return Close(POLICY_VIOLATION, "TooManyMessages")
        seat = self._seated[reader]
        if seat.channel.wire.has_events:
            return Close(POLICY_VIOLATION, "clients send nothing on this stream")
        if seat.channel.wire is Wire.FRAMES or not isinstance(message, str) or size_bytes > MAX_MESSAGE_BYTES:
            return None
        asked = parse_message(message)
        if asked is None or isinstance(asked, Close):
            return asked
        channel = seat.channel._replace(filter=asked.filter, max_bytes=asked.max_bytes)
        is_news = seat.awaits_hello or channel != seat.channel
        return seat._replace(channel=channel) if is_news else None

    def leave(self, reader: str) -> None:
        """A reader is gone."""
        self._seated.pop(reader, None)
        self._patience.pop(reader, None)
        self._seats.forget(reader)
