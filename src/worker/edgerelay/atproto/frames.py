"""Frames of an event stream: a header and a body, back to back, in one binary WebSocket message.

Owns the framing, the header, and the one change that a relay makes to a frame: its sequence number. What the body of a
message must hold is `messages`.

Spec: atproto event streams, "Framing"; sync, "Limits" for the size.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final, NamedTuple, cast

import cbor2

from edgerelay.atproto.dagcbor import MAX_DEPTH, Value, decode_prefix, encode
from edgerelay.errors import InvariantError, WireError

__all__ = [
    "MAX_FRAME_BYTES",
    "MAX_GROWTH_BYTES",
    "MAX_SEQ",
    "ErrorFrame",
    "Frame",
    "FrameError",
    "decode_frame",
    "encode_error",
    "encode_frame",
    "encode_info",
    "renumber",
]

MAX_FRAME_BYTES: Final = 5_000_000
"""One WebSocket message, everything included (sync, "Limits": 5 MB)."""

MAX_SEQ: Final = 2**53 - 1
"""The largest sequence number: integers beyond it are not safe in JavaScript."""

MAX_GROWTH_BYTES: Final = 8
"""What a frame may grow by when it takes another number: from one byte to nine."""

_OP_MESSAGE: Final = 1
_OP_ERROR: Final = -1

_KINDS: Final = ("#commit", "#identity", "#account", "#sync", "#info")
_HEADERS: Final = {kind: encode({"op": _OP_MESSAGE, "t": kind}) for kind in _KINDS}
_ERROR_HEADER: Final = encode({"op": _OP_ERROR})
_SEQ_KEY: Final = encode("seq")
_MAX_32_BITS: Final = 2**32 - 1
_LONG_SEQ: Final = _SEQ_KEY + encode(MAX_SEQ)[:1]


class FrameError(WireError):
    """A frame whose framing or header is not what the event stream allows.

    Attributes:
        code: `encoding`, `header`, `unknown_op` or `oversize`.
    """

    def __init__(self, code: str, problem: str) -> None:
        super().__init__(problem)
        self.code = code


class Frame:
    """A message frame in its deterministic encoding. Two are equal if they say the same in the same bytes.

    Attributes:
        kind: the header's `t`, such as `#commit`; it may be one that nobody knows.
        raw: the frame as it was received; encoded anew if a lenient relay took it in another encoding.
        seq_span: where the value of `seq` stands in `raw`, if whoever read the frame took note of it.
    """

    __slots__ = ("_body", "kind", "raw", "seq_span")

    def __init__(
        self, kind: str, body: dict[str, Value] | None, raw: bytes, seq_span: tuple[int, int] | None = None
    ) -> None:
        """`body` may be None for a kind of `KINDS` whose bytes are known to be right: most are never asked for it."""
        self.kind = kind
        self._body = body
        self.raw = raw
        self.seq_span = seq_span

    @property
    def body(self) -> dict[str, Value]:
        """The payload. Unknown fields are in it and stay in the bytes."""
        if self._body is None:
            self._body = _decode_body(self.raw, len(_HEADERS[self.kind]))
        return self._body

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and (self.kind, self.raw, self.body) == (other.kind, other.raw, other.body)

    __hash__ = None  # type: ignore[assignment]  # its body can change

    def __repr__(self) -> str:
        return f"Frame({self.kind!r}, {self.body!r}, {self.raw!r})"


class ErrorFrame(NamedTuple):
    """The frame that a host sends before it closes the stream."""

    error: str
    message: str


def decode_frame(raw: bytes, *, strict: bool = True) -> Frame | ErrorFrame:
    """Decode one frame.

    Args:
        raw: the WebSocket message.
        strict: demand deterministic encoding. Otherwise a frame in another encoding is encoded anew first; what the
            data model does not have stays refused.

    Raises:
        FrameError: the frame is too large, is not two CBOR maps, or its header is not one of this protocol.
    """
    if len(raw) > MAX_FRAME_BYTES:
        raise FrameError("oversize", f"a frame of {len(raw)} bytes; the limit is {MAX_FRAME_BYTES}")
    try:
        return _decode(raw)
    except FrameError as error:
        if strict or error.code != "encoding":
            raise
    return _decode(_encode_anew(raw))


def _decode(raw: bytes) -> Frame | ErrorFrame:
    for kind, header in _HEADERS.items():
        if raw.startswith(header):
            return Frame(kind, _decode_body(raw, len(header)), raw)
    return _decode_unusual(raw)


def _decode_item(raw: bytes, start: int) -> tuple[Value, int]:
    try:
        return decode_prefix(raw, start)
    except WireError as error:
        raise FrameError("encoding", str(error)) from None


def _encode_anew(raw: bytes) -> bytes:
    """The two items of a frame in the encoding that they should have had."""
    stream = BytesIO(raw)
    decoder = cbor2.CBORDecoder(stream, max_depth=MAX_DEPTH, strict_hashable_types=True)
    try:
        items = encode(decoder.decode()) + encode(decoder.decode())
    except (cbor2.CBORError, ArithmeticError, RecursionError, TypeError, ValueError) as error:
        raise FrameError("encoding", f"not CBOR: {type(error).__name__}") from None
    if stream.tell() != len(raw):
        raise FrameError("encoding", "trailing bytes after the body")
    return items


def _decode_body(raw: bytes, start: int) -> dict[str, Value]:
    body, end = _decode_item(raw, start)
    if not isinstance(body, dict):
        raise FrameError("encoding", "the body is not a map")
    if end != len(raw):
        raise FrameError("encoding", "trailing bytes after the body")
    return body


def _decode_unusual(raw: bytes) -> Frame | ErrorFrame:
    """Error frames, unknown kinds, headers with unknown fields, and everything that is wrong."""
    header, start = _decode_item(raw, 0)
    if not isinstance(header, dict):
        raise FrameError("header", "the header is not a map")
    op, kind = header.get("op"), header.get("t")
    if type(op) is not int:
        raise FrameError("header", "the header has no integer `op`")
    if op == _OP_ERROR:
        body = _decode_body(raw, start)
        return ErrorFrame(_text(body.get("error")), _text(body.get("message")))
    if op != _OP_MESSAGE:
        raise FrameError("unknown_op", f"unknown op {op}")
    if not isinstance(kind, str):
        raise FrameError("header", "a message without a text `t`")
    return Frame(kind, _decode_body(raw, start), raw)


def _text(value: Value | None) -> str:
    return value if isinstance(value, str) else ""


def encode_frame(kind: str, body: dict[str, Value]) -> bytes:
    """A message frame of ours."""
    return _HEADERS[kind] + encode(body)


def encode_error(error: str, message: str) -> bytes:
    """An error frame; the stream is closed right after it (event streams, "Error frames")."""
    return _ERROR_HEADER + encode({"error": error, "message": message})


def encode_info(name: str, message: str) -> bytes:
    """An `#info` message: it has no sequence number and is never kept."""
    return encode_frame("#info", {"name": name, "message": message})


def renumber(frame: Frame, seq: int) -> bytes:
    """The bytes of a frame with another sequence number and every other byte as it was received.

    Where nobody took note of its place, the old number is found as bytes: in a deterministic encoding its key and value
    stand there exactly once, unless a peer wrote the same bytes into something else. Then the body is encoded anew,
    which gives the same bytes.
    """
    if not 0 < seq <= MAX_SEQ:
        raise InvariantError(f"sequence number {seq} is out of range")
    raw = frame.raw
    if frame.seq_span is not None:
        value, behind = frame.seq_span
        return raw[: value - len(_SEQ_KEY)] + _seq_field(seq) + raw[behind:]
    field = _seq_field(cast(int, frame.body["seq"]))
    blocks = frame.body.get("blocks")
    # The shorter key stands first, so that the number comes before `blocks`, which are most of the frame.
    end = len(raw) - len(blocks) if isinstance(blocks, bytes) else len(raw)
    start = raw.find(field)
    if start != raw.rfind(field, 0, end):
        return _HEADERS[frame.kind] + encode({**frame.body, "seq": seq})
    return raw[:start] + _seq_field(seq) + raw[start + len(field) :]


def _seq_field(seq: int) -> bytes:
    """Key and value of a sequence number; ours always take the longest form."""
    return _LONG_SEQ + seq.to_bytes(8, "big") if seq > _MAX_32_BITS else _SEQ_KEY + encode(seq)
