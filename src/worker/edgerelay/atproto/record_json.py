"""Records as JSON: from the bytes of a block to the one form in which Jetstream sends them.

Keys stand in the order of their bytes at every level, but those of a blob in an order of their own. Links and strings
of bytes become `{"$link": …}` and `{"$bytes": …}`, and what says either of them in CBOR already is taken for one. Text
is escaped as Go does. What the data model reserves must be right: a map whose `$type` is no name, a blob that lacks a
field, a number that is not whole have no JSON form.

Unlike Jetstream, this refuses links that the protocol does not allow, and more than `dagcbor.MAX_VALUES` values; it
does not look at the length of keys. Records are not checked against a Lexicon, nor is it asked what they mean.

Spec: atproto data model, "JSON Representation"; blob type; what Jetstream v1 sends where that says nothing.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from json import JSONEncoder
from typing import Final, TypeAlias

from cbor2 import CBORDecodeError, CBORTag, loads

from edgerelay.atproto.cid import cid_from_link, cid_from_text, cid_to_link, cid_to_text
from edgerelay.atproto.dagcbor import scan
from edgerelay.errors import WireError

__all__ = ["RecordError", "record_to_json", "text_to_json"]

_Fields: TypeAlias = Mapping[str, object]

_BLOB_FIELDS: Final = ("$type", "ref", "mimeType", "size")
_OLD_BLOB_FIELDS: Final = ("cid", "mimeType")
"""A blob as it was written before blobs had a `$type`."""

_MIN_INT: Final = -(2**63)
_END_OF_INT: Final = 2**63
"""Whole floats are integers, where they fit in 64 bits."""

_QUAD: Final = 4
"""Characters of base64 that stand for three bytes; only the last may be fewer."""

_GO_ESCAPES: Final = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
"""What Go escapes and `json` does not; outside of strings none of these occurs."""


class RecordError(WireError):
    """A record that has no JSON form."""


class _Blob(dict[str, object]):
    """A blob with its keys in their order: like a link or bytes it is one value, so no record is one."""


def record_to_json(block: bytes) -> bytes:
    """Write a record as JSON, in UTF-8.

    Raises:
        RecordError: the block is no record, or not one that JSON can say.
    """
    try:
        value = _decode(block)
    except WireError as error:
        raise RecordError(str(error)) from None
    if type(value) is not dict:
        raise RecordError("a record that is not a map")
    return _to_json(value)


def text_to_json(text: str) -> bytes:
    """Write text as a JSON string, in UTF-8."""
    return _to_json(text)


def _decode(block: bytes) -> object:
    """Floats are so rare in records that they are looked for only where something is wrong without them."""
    try:
        end, has_floats = scan(block), False
    except WireError:
        end, has_floats = scan(block, floats=True), True
    if end != len(block):
        raise WireError("trailing bytes after a record")
    try:
        return _without_floats(loads(block)) if has_floats else loads(block, object_hook=_read_map)
    except CBORDecodeError as error:
        # cbor2 wraps what its hook raises; after the scan, nothing else is left but text that is not UTF-8.
        if isinstance(error.__cause__, WireError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, UnicodeDecodeError):
            raise WireError("text is not UTF-8") from None
        raise


def _without_floats(value: object) -> object:
    """Make integers of whole floats, which the scan has bounded in depth, and read the maps around them."""
    if isinstance(value, dict):
        return _map_value({name: _without_floats(each) for name, each in value.items()})
    if isinstance(value, list):
        return [_without_floats(each) for each in value]
    if isinstance(value, float):
        if not (value.is_integer() and _MIN_INT <= value < _END_OF_INT):
            raise WireError("a number that is not whole, or does not fit in 64 bits")
        return int(value)
    return value


def _read_map(fields: Mapping[str, object], _: bool) -> object:
    return _map_value(fields)


def _map_value(fields: _Fields) -> object:
    """What a map says: a link, bytes, a blob, or its fields in order."""
    if "$link" in fields:
        return cid_to_link(cid_from_text(_only_text(fields, "$link")))
    if "$bytes" in fields:
        return _bytes_of(_only_text(fields, "$bytes"))
    if "$type" in fields:
        kind = fields["$type"]
        if kind == "blob":
            return _blob(fields)
        if not isinstance(kind, str) or not kind:
            raise WireError("a $type that is not a name")
    elif len(fields) == len(_OLD_BLOB_FIELDS) and fields.keys() == set(_OLD_BLOB_FIELDS):
        return _old_blob(fields)
    return {name: fields[name] for name in sorted(fields)}


def _only_text(fields: _Fields, name: str) -> str:
    text = fields[name]
    if len(fields) > 1 or not isinstance(text, str):
        raise WireError(f"a {name} that is not text, or not alone")
    return text


def _bytes_of(text: str) -> bytes:
    if "=" in text:
        raise WireError("a $bytes with padding")
    try:
        return a2b_base64(text + "=" * (-len(text) % _QUAD), strict_mode=True)
    except (Base64Error, ValueError):
        raise WireError("a $bytes that is not base64") from None


def _blob(fields: _Fields) -> _Blob:
    size = fields.get("size")
    if len(fields) != len(_BLOB_FIELDS) or not isinstance(fields.get("mimeType"), str):
        raise WireError("a blob without its MIME type, or with fields that are not its own")
    if type(size) is not int or size < 0:
        raise WireError("a blob without a size")
    cid_from_link(fields.get("ref"))
    return _Blob({name: fields[name] for name in _BLOB_FIELDS})


def _old_blob(fields: _Fields) -> _Blob:
    cid, mime_type = (fields[name] for name in _OLD_BLOB_FIELDS)
    if not isinstance(mime_type, str):
        raise WireError("a blob without its MIME type")
    text = cid if isinstance(cid, str) else cid_to_text(cid_from_link(cid))
    cid_from_text(text)
    return _Blob(cid=text, mimeType=mime_type)


def _special_value(value: bytes | CBORTag) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"$bytes": b2a_base64(value, newline=False).rstrip(b"=").decode("ascii")}
    return {"$link": cid_to_text(cid_from_link(value))}


# Decoded values refer to nothing twice, so that no circle need be looked for.
_encode: Final = JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":"), default=_special_value
).encode


def _to_json(value: object) -> bytes:
    """Escaped as bytes: one rare letter makes a Python string four times as large."""
    text = _encode(value).encode()
    for raw, escaped in _GO_ESCAPES:
        text = text.replace(raw, escaped)
    if b"\\b" in text or b"\\f" in text:
        # Between two escaped backslashes, a backslash begins an escape.
        parts = [part.replace(b"\\b", b"\\u0008").replace(b"\\f", b"\\u000c") for part in text.split(b"\\\\")]
        text = b"\\\\".join(parts)
    return text
