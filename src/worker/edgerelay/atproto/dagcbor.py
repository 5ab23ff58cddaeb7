"""Deterministic CBOR as the protocol uses it: exactly one encoding of every value is accepted.

Decoding is two steps. A structural scan walks over heads and keys, never into strings, and refuses whatever has a
second spelling or is not in the data model; it allocates nothing, so its bounds hold before a hostile message costs
memory. Then `cbor2` makes the values (and checks UTF-8). Why not decode and encode again: `docs/decisions/0001`.

Links stay `cbor2.CBORTag` values, already known to be valid; `cid.cid_from_link` opens them.

Spec: atproto data model ("DRISL-CBOR", formerly DAG-CBOR); DASL DRISL. Stricter than DRISL: no floats, unless whoever
reads a stranger's record asks for them.
"""

from __future__ import annotations

from typing import Final, TypeAlias, cast

from cbor2 import CBORDecodeError, CBORTag, dumps, loads

from edgerelay.atproto.cid import CBOR_PREFIX, CID_BYTES, RAW_PREFIX
from edgerelay.errors import WireError

__all__ = [
    "MAX_DEPTH",
    "MAX_ITEM_BYTES",
    "MAX_VALUES",
    "Value",
    "decode",
    "decode_pair",
    "decode_prefix",
    "encode",
    "read_argument",
    "scan",
]

Value: TypeAlias = "bool | int | str | bytes | CBORTag | list[Value] | dict[str, Value] | None"
"""What the data model can say. A `CBORTag` is always a link."""

MAX_DEPTH: Final = 32
"""Containers within each other: the figure of the data validation guide; real messages need three."""

MAX_ITEM_BYTES: Final = 5_000_000
"""Size of one item: the limit of a stream frame, the largest thing that is ever decoded."""

MAX_VALUES: Final = 20_000
"""Values in one item, keys not counted: a commit of 200 operations has about 1,200. The costliest value, a small map,
takes some 250 B decoded, so that the densest item allowed stays below 6 MB."""

# Initial bytes (RFC 8949, section 3): the major type in the upper three bits, the argument or its size below.
_BYTES: Final = 0x40
_TEXT: Final = 0x60
_ARRAY: Final = 0x80
_MAP: Final = 0xA0
_TAG: Final = 0xC0
_SPECIAL: Final = 0xE0
_SIMPLE: Final = (0xF4, 0xF5, 0xF6)
"""`false`, `true` and `null`: what the data model has of major type 7."""
_FLOAT: Final = 0xFB
"""The one width of a float in DRISL: eight bytes follow."""
_FLOAT_BYTES: Final = 9
_ARGUMENT_MASK: Final = 0x1F
_ONE_BYTE: Final = 24
"""Arguments below this stand in the initial byte itself; 24 to 27 say that 1, 2, 4 or 8 bytes follow."""
_EIGHT_BYTES: Final = 27
_MAX_INT: Final = 2**63 - 1
"""Integers are signed 64-bit. The argument of a negative one is -1 - n, so that one bound serves both."""

_LINKS: Final = (b"\xd8\x2a\x58\x25\x00" + CBOR_PREFIX, b"\xd8\x2a\x58\x25\x00" + RAW_PREFIX)
"""Tag 42 over 37 bytes, 0x00, and the prefix of an allowed CID: the only tag, in its only spelling."""
_LINK_HEAD_BYTES: Final = 9
_LINK_BYTES: Final = 5 + CID_BYTES


def _whole_size(head: int) -> int:
    """Size of an item that its initial byte tells completely; 0 for all others."""
    argument = head & _ARGUMENT_MASK
    if head in _SIMPLE:
        return 1
    if argument >= _ONE_BYTE or head >= _ARRAY:
        return 0
    return 1 if head < _BYTES else 1 + argument


_WHOLE_SIZE: Final = bytes(_whole_size(head) for head in range(256))


def encode(value: Value) -> bytes:
    """Encode a value of ours; there is only one way to."""
    return dumps(value, canonical=True)


def decode(data: bytes) -> Value:
    """Decode exactly one item, refusing everything that is not its only right encoding."""
    if scan(data, 0) != len(data):
        raise WireError("trailing bytes after a CBOR item")
    return _load(data)


def decode_pair(frame: bytes) -> tuple[Value, Value]:
    """Decode two items back to back: the header and the body of a stream frame."""
    middle = scan(frame, 0)
    if scan(frame, middle) != len(frame):
        raise WireError("trailing bytes after two CBOR items")
    return _load(frame[:middle]), _load(frame[middle:])


def decode_prefix(data: bytes, offset: int = 0) -> tuple[Value, int]:
    """Decode the item that starts at `offset`; returns it and the offset behind it."""
    end = scan(data, offset)
    return _load(data[offset:end]), end


def _load(item: bytes) -> Value:
    try:
        return cast(Value, loads(item))
    except CBORDecodeError:
        # All else was refused by the scan: what is left is text that is not UTF-8.
        raise WireError("text is not UTF-8") from None


def scan(data: bytes, offset: int = 0, *, floats: bool = False) -> int:
    """Check the structure of the item that starts at `offset`; returns the offset behind it.

    Everything of the deterministic encoding is checked except that text is UTF-8, and that floats are finite where they
    are allowed.
    """
    try:
        end = _scan(data, offset, floats)
    except IndexError:
        raise WireError("a CBOR item is cut short") from None
    if end > len(data):
        raise WireError("a CBOR item is cut short")
    if end - offset > MAX_ITEM_BYTES:
        raise WireError(f"a CBOR item is longer than {MAX_ITEM_BYTES} bytes")
    return end


def _scan(data: bytes, position: int, floats: bool) -> int:
    """Walk the values of the current container; the ones around it wait on a stack."""
    outer: list[tuple[int, bytes | None]] = []
    total = left = 1
    previous: bytes | None = None  # the last key of a map, in its encoding; None within an array
    while True:
        while left:
            left -= 1
            if previous is not None:
                # "ordered by encoded length first, then bytewise": as encodings, plain comparison says the same.
                key_start, position = position, _skip_key(data, position)
                key = data[key_start:position]
                if key <= previous:
                    raise WireError("map keys are not unique and in order")
                previous = key
            head = data[position]
            size = _WHOLE_SIZE[head]
            if size:
                position += size
            elif head < _ARRAY:
                position = _skip_scalar(data, position)
            elif head < _TAG:
                count, position = read_argument(data, position)
                total += count
                if total > MAX_VALUES or len(outer) >= MAX_DEPTH:
                    raise WireError("a CBOR item holds too much or too deep")
                outer.append((left, previous))
                left, previous = count, None if head < _MAP else b""
            elif head == _FLOAT and floats:
                position += _FLOAT_BYTES
            else:
                position = _skip_link(data, position)
        if not outer:
            return position
        left, previous = outer.pop()


def _skip_key(data: bytes, position: int) -> int:
    head = data[position]
    if not _TEXT <= head < _ARRAY:
        raise WireError("a map key is not text")
    return position + (_WHOLE_SIZE[head] or _skip_scalar(data, position) - position)


def _skip_scalar(data: bytes, position: int) -> int:
    argument, end = read_argument(data, position)
    if data[position] >= _BYTES:
        return end + argument
    if argument > _MAX_INT:
        raise WireError("an integer does not fit in 64 bits")
    return end


def _skip_link(data: bytes, position: int) -> int:
    if data[position] >= _SPECIAL:
        raise WireError("a float, undefined or a simple value, which the data model does not have")
    if data[position : position + _LINK_HEAD_BYTES] not in _LINKS:
        raise WireError("a tag that is not a link with an allowed CID")
    return position + _LINK_BYTES


def read_argument(data: bytes, position: int) -> tuple[int, int]:
    """Read the argument of a head in its shortest form; returns it and the offset behind the head."""
    argument = data[position] & _ARGUMENT_MASK
    position += 1
    if argument < _ONE_BYTE:
        return argument, position
    if argument > _EIGHT_BYTES:
        raise WireError("an indefinite length or a reserved head")
    width = 1 << (argument - _ONE_BYTE)
    end = position + width
    value = int.from_bytes(data[position:end], "big")
    # Shortest form: the upper half is needed, and a single byte has nothing that the head itself could hold.
    if value < (_ONE_BYTE if width == 1 else 1 << (width * 4)):
        raise WireError("a number or a length is not in its shortest form, or cut short")
    return value, end
