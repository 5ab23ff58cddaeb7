"""Frames that are not two maps, and headers that are not what they should be.

Spec: atproto event stream, "Framing".
"""

from __future__ import annotations

from typing import Final

from edgerelay.atproto.dagcbor import encode
from edgerelay_dev.network.event import info_frame
from edgerelay_dev.network.malformed.kind import Fate, malformed
from edgerelay_dev.network.malformed.material import MAP, Body, Material, cbor_head, header_bytes
from edgerelay_dev.network.websocket import Opcode

MAX_FRAME_BYTES: Final = 5_000_000
"""Largest message that the sync specification allows."""


@malformed(Fate.REJECT)
def empty_frame(material: Material) -> bytes:
    """A message of no bytes."""
    return b""


@malformed(Fate.REJECT, Opcode.TEXT)
def text_frame(material: Material) -> bytes:
    """A text message: the stream is binary."""
    return b'{"t":"#identity","op":1}'


@malformed(Fate.REJECT)
def not_cbor(material: Material) -> bytes:
    """Bytes that no CBOR item begins with."""
    return b"\xff\xfe not CBOR"


@malformed(Fate.REJECT)
def header_only(material: Material) -> bytes:
    """A header and no body."""
    return header_bytes("#commit")


@malformed(Fate.REJECT)
def truncated(material: Material) -> bytes:
    """The first half of a right frame."""
    frame = material.frame("#commit")
    return frame[: len(frame) // 2]


@malformed(Fate.REJECT)
def trailing_byte(material: Material) -> bytes:
    """One byte after the body."""
    return material.frame("#commit") + b"\x00"


@malformed(Fate.REJECT)
def third_item(material: Material) -> bytes:
    """A third map after the body."""
    return material.frame("#commit") + encode({})


@malformed(Fate.REJECT)
def header_not_map(material: Material) -> bytes:
    """A header that is an array."""
    return encode(["#identity", 1]) + encode(material.body("#identity"))


@malformed(Fate.REJECT)
def body_not_map(material: Material) -> bytes:
    """A body that is an array."""
    return header_bytes("#identity") + encode([material.seq, material.account.did])


@malformed(Fate.REJECT)
def missing_op(material: Material) -> bytes:
    """A header without `op`."""
    return encode({"t": "#identity"}) + encode(material.body("#identity"))


@malformed(Fate.REJECT)
def wrong_op_type(material: Material) -> bytes:
    """A header whose `op` is text."""
    return encode({"t": "#identity", "op": "1"}) + encode(material.body("#identity"))


@malformed(Fate.SKIP)
def unknown_op(material: Material) -> bytes:
    """A header with an `op` that nobody has defined: clients skip the frame."""
    return encode({"t": "#identity", "op": 2}) + encode(material.body("#identity"))


@malformed(Fate.REJECT)
def missing_t(material: Material) -> bytes:
    """A header without `t`."""
    return encode({"op": 1}) + encode(material.body("#identity"))


@malformed(Fate.REJECT)
def wrong_t_type(material: Material) -> bytes:
    """A header whose `t` is a number."""
    return encode({"t": 7, "op": 1}) + encode(material.body("#identity"))


@malformed(Fate.SKIP)
def unknown_t(material: Material) -> bytes:
    """A message type that nobody has defined: clients skip the frame."""
    return material.write("#mystery", material.body("#identity"))


@malformed(Fate.SKIP)
def t_without_hash(material: Material) -> bytes:
    """A message type that lacks its `#`, and so is another one."""
    return material.write("identity", material.body("#identity"))


@malformed(Fate.KEEP)
def unknown_header_field(material: Material) -> bytes:
    """A header with one more field, which clients ignore."""
    return encode({"t": "#identity", "op": 1, "extra": True}) + encode(material.body("#identity"))


@malformed(Fate.SKIP)
def info_in_stream(material: Material) -> bytes:
    """An `#info` of an unknown name: it has no number and is for the reader alone."""
    return info_frame("Greetings", "nothing to see")


@malformed(Fate.SKIP)
def legacy_tombstone(material: Material) -> bytes:
    """A `#tombstone`, a type that was removed; some hosts still send it."""
    return material.write("#tombstone", _announcement(material))


@malformed(Fate.SKIP)
def legacy_handle(material: Material) -> bytes:
    """A `#handle`, a type that was removed."""
    return material.write("#handle", {**_announcement(material), "handle": material.account.handle})


@malformed(Fate.SKIP)
def legacy_migrate(material: Material) -> bytes:
    """A `#migrate`, a type that was removed."""
    return material.write("#migrate", {**_announcement(material), "migrateTo": material.host.url})


@malformed(Fate.KEEP)
def largest_frame(material: Material) -> bytes:
    """A frame of exactly 5,000,000 bytes, filled up with an unknown field."""
    return _frame_of_bytes(material, MAX_FRAME_BYTES)


@malformed(Fate.REJECT)
def oversize_frame(material: Material) -> bytes:
    """A frame of 5,000,001 bytes."""
    return _frame_of_bytes(material, MAX_FRAME_BYTES + 1)


@malformed(Fate.REJECT)
def length_bomb(material: Material) -> bytes:
    """A few bytes that claim to be a map of four billion items."""
    return header_bytes("#identity") + cbor_head(MAP, (1 << 32) - 1)


@malformed(Fate.REJECT)
def depth_bomb(material: Material) -> bytes:
    """Arrays in arrays, a hundred thousand deep."""
    return header_bytes("#identity") + b"\x81" * 100_000 + b"\x00"


def _announcement(material: Material) -> Body:
    body = material.body("#identity")
    del body["handle"]
    return body


def _frame_of_bytes(material: Material, size: int) -> bytes:
    body = material.body("#identity")
    lacking = size - len(material.write("#identity", {**body, "filler": bytes(1 << 16)}))
    frame = material.write("#identity", {**body, "filler": bytes((1 << 16) + lacking)})
    assert len(frame) == size
    return frame
