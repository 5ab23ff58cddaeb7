"""The obvious twin of `edgerelay.archive.jetstream` and `edgerelay.atproto.record_json`: one rule after the other.

It reads a frame that is right, and writes JSON letter by letter. Whether bytes are deterministic it does not ask.
"""

from __future__ import annotations

import re
from base64 import b32encode, b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from cbor2 import CBORTag, loads

from tests.oracle.frames import parts

__all__ = ["NoJsonError", "lines", "record"]


class NoJsonError(Exception):
    """A record without a JSON form."""


def record(value: Any) -> str:
    """Write a decoded record."""
    written = _value(value)
    _demand(type(value) is dict and not {"$link", "$bytes"} & set(value))
    _demand(value.get("$type") != "blob" and set(value) != {"cid", "mimeType"})
    return written


def lines(raw: bytes) -> list[str]:
    """Write the lines of a frame in strict order; operations that have no line have an empty one."""
    header, body = parts(raw)
    seq = body["seq"]
    did = body["repo" if header["t"] == "#commit" else "did"]
    start = f'{{"did":{_text(did)},"time_us":'
    if header["t"] == "#commit":
        try:
            blocks = _blocks(body["blocks"])
        except ValueError:
            blocks = None
        found = [_operation(op, body, blocks) for op in body["ops"]]
        return [op and f'{start}{seq + index},"kind":"commit","commit":{op}}}' for index, op in enumerate(found)]
    if header["t"] == "#identity":
        return [f'{start}{seq},"kind":"identity","identity":{_plain(_some(body, "did handle seq time"))}}}']
    if header["t"] == "#account":
        return [f'{start}{seq},"kind":"account","account":{_plain(_some(body, "active did seq status time"))}}}']
    return []


def _operation(op: Any, body: Any, blocks: dict[bytes, bytes] | None) -> str:
    collection, rkey = op["path"].split("/")
    fields = {"rev": body["rev"], "operation": op["action"], "collection": collection, "rkey": rkey}
    if blocks is None or body["tooBig"]:
        return ""
    if op["action"] == "delete":
        return _plain(fields)
    cid = op["cid"].value[1:]
    if cid not in blocks:
        return ""
    try:
        _demand(sha256(blocks[cid]).digest() == cid[4:])
        written = record(loads(blocks[cid]))
    except NoJsonError:
        return ""
    return f'{_plain(fields)[:-1]},"record":{written},"cid":{_text(_cid_text(cid))}}}'


def _blocks(car: bytes) -> dict[bytes, bytes]:
    entries = _entries(car)
    next(entries)
    return {entry[:36]: entry[36:] for entry in entries}


def _entries(car: bytes) -> Iterator[bytes]:
    while car:
        length = shift = 0
        while car:
            byte, car = car[0], car[1:]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if length > len(car):
            raise ValueError("cut short")
        yield car[:length]
        car = car[length:]


def _some(fields: dict[str, Any], names: str) -> dict[str, Any]:
    return {name: fields[name] for name in names.split() if name in fields}


def _plain(fields: dict[str, Any]) -> str:
    return "{" + ",".join([f"{_text(name)}:{_value(value)}" for name, value in fields.items()]) + "}"


def _value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        _demand(value == value // 1 and -(2**63) <= value < 2**63)
        return str(int(value))
    if isinstance(value, int):
        _demand(-(2**63) <= value < 2**63)
        return str(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes):
        return '{"$bytes":"' + b64encode(value).decode().rstrip("=") + '"}'
    if isinstance(value, CBORTag):
        return '{"$link":"' + _cid_text(value.value[1:]) + '"}'
    if isinstance(value, list):
        return "[" + ",".join(map(_value, value)) + "]"
    return _map(value)


def _map(value: dict[str, Any]) -> str:
    if "$link" in value:
        _demand(len(value) == 1 and _is_cid(value["$link"]))
        return f'{{"$link":{_text(value["$link"])}}}'
    if "$bytes" in value:
        text = value["$bytes"]
        _demand(len(value) == 1 and isinstance(text, str))
        _demand(re.fullmatch("[A-Za-z0-9+/]*", text) is not None and len(text) % 4 != 1)
        # Bits that no byte has are left out.
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        bits = "".join([f"{letters.index(letter):06b}" for letter in text])
        return _value(bytes([int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8)]))
    if "$type" in value:
        _demand(isinstance(value["$type"], str) and value["$type"] != "")
        if value["$type"] == "blob":
            return _blob(value)
    elif set(value) == {"cid", "mimeType"}:
        cid = value["cid"]
        _demand(isinstance(value["mimeType"], str))
        _demand(isinstance(cid, CBORTag) or _is_cid(cid) or (isinstance(cid, dict) and _is_cid(cid.get("$link"))))
        text = cid if isinstance(cid, str) else cid["$link"] if isinstance(cid, dict) else _cid_text(cid.value[1:])
        return f'{{"cid":"{text}","mimeType":{_text(value["mimeType"])}}}'
    names = sorted(value, key=lambda name: name.encode())
    return "{" + ",".join([f"{_text(name)}:{_value(value[name])}" for name in names]) + "}"


def _blob(value: dict[str, Any]) -> str:
    _demand(set(value) == {"$type", "ref", "mimeType", "size"})
    size, ref = value["size"], value["ref"]
    _demand(isinstance(size, int | float) and not isinstance(size, bool) and size >= 0)
    _demand(isinstance(value["mimeType"], str))
    _demand(isinstance(ref, CBORTag) or (isinstance(ref, dict) and "$link" in ref))
    mime_type = _text(value["mimeType"])
    return f'{{"$type":"blob","ref":{_value(ref)},"mimeType":{mime_type},"size":{_value(size)}}}'


def _text(text: str) -> str:
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    written = ""
    for letter in text:
        if letter in short:
            written += short[letter]
        elif letter < " " or letter in "<>&\u2028\u2029":
            written += f"\\u{ord(letter):04x}"
        else:
            written += letter
    return f'"{written}"'


def _cid_text(cid: bytes) -> str:
    return "b" + b32encode(cid).decode().rstrip("=").lower()


def _is_cid(text: Any) -> bool:
    """All bits count: the last letter stands for three of them."""
    return isinstance(text, str) and re.fullmatch("baf[ky]rei[a-h][a-z2-7]{50}[aeimquy4]", text) is not None


def _demand(rule: bool) -> None:
    if not rule:
        raise NoJsonError
