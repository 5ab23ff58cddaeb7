"""Deterministic CBOR as the protocol uses it, strict in both directions.

`cbor2` decodes; what it is too generous about is found by encoding the value again and comparing bytes (there is
exactly one right encoding of a value) and by walking its types. Links stay `cbor2.CBORTag` values: see
`cid.cid_from_link`.

Spec: atproto data model ("DRISL-CBOR", formerly DAG-CBOR); DASL DRISL. Stricter than DRISL: no floats.
"""

from __future__ import annotations

from typing import Final, TypeAlias, cast

from cbor2 import CBORDecodeError, CBOREncodeError, CBORTag, dumps, loads

from edgerelay.atproto.cid import cid_from_link
from edgerelay.errors import WireError

__all__ = [
    "MAX_DEPTH",
    "MAX_INT",
    "MAX_ITEM_BYTES",
    "MIN_INT",
    "Value",
    "decode",
    "decode_pair",
    "decode_prefix",
    "encode",
]

Value: TypeAlias = "None | bool | int | str | bytes | CBORTag | list[Value] | dict[str, Value]"
"""What the data model can say. A `CBORTag` is always a link."""

MAX_DEPTH: Final = 32
"""Containers and tags within each other; the data validation guide's figure, and deeper than any real message."""

MAX_ITEM_BYTES: Final = 5_000_000
"""One item at most: the limit of a stream frame, the largest thing that is ever decoded."""

MIN_INT: Final = -(2**63)
MAX_INT: Final = 2**63 - 1
"""Integers are signed 64-bit."""


def encode(value: Value) -> bytes:
    """Encode a value of ours; there is only one way to."""
    return dumps(value, canonical=True)


def decode(data: bytes) -> Value:
    """Decode exactly one item, refusing everything that is not its only right encoding."""
    value, end = decode_prefix(data, 0)
    if end != len(data):
        raise WireError("trailing bytes after a CBOR item")
    return value


def decode_pair(frame: bytes) -> tuple[Value, Value]:
    """Decode two items back to back: the header and the body of a stream frame."""
    header, end = decode_prefix(frame, 0)
    return header, decode(frame[end:])


def decode_prefix(data: bytes, offset: int = 0) -> tuple[Value, int]:
    """Decode the item that starts at `offset`; returns it and the offset behind it."""
    rest = data[offset:]
    if len(rest) > MAX_ITEM_BYTES:
        raise WireError(f"a CBOR item is longer than {MAX_ITEM_BYTES} bytes")
    try:
        value = loads(
            rest,
            allow_duplicate_keys=False,
            allow_indefinite=False,
            max_depth=MAX_DEPTH,
            strict_hashable_types=True,
        )
        encoded = dumps(value, canonical=True)
    except (CBORDecodeError, CBOREncodeError) as error:
        raise WireError("not valid CBOR") from error
    if not rest.startswith(encoded):
        raise WireError("not the deterministic encoding of its value")
    _check(value)
    return cast(Value, value), offset + len(encoded)


def _check(value: object) -> None:
    kind = type(value)
    if kind is str or kind is bytes or value is None or kind is bool:
        return
    if isinstance(value, int):
        if not MIN_INT <= value <= MAX_INT:
            raise WireError("an integer does not fit in 64 bits")
    elif isinstance(value, dict):
        for key, item in value.items():
            if type(key) is not str:
                raise WireError("a map key is not text")
            _check(item)
    elif isinstance(value, list):
        for item in value:
            _check(item)
    elif isinstance(value, CBORTag):
        cid_from_link(value)
    else:
        raise WireError(f"a value of a type that the data model does not have: {kind.__name__}")
