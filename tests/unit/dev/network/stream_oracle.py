"""A slow, plain verifier of streams, written from the specification for these tests alone.

It shares no code with the network that it judges, save the CBOR decoder of the relay. It flattens trees into lists
instead of changing them, keeps everything, and answers with the fate that a frame deserves and why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from cbor2 import CBORTag
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from edgerelay.atproto.dagcbor import decode, decode_pair, encode
from edgerelay.errors import WireError
from edgerelay_dev.network.malformed import Fate

EMPTY_ROOT = bytes.fromhex("01711220") + sha256(bytes.fromhex("a2616580616cf6")).digest()

DID = re.compile(r"did:(plc:[a-z2-7]{24}|web:[a-zA-Z0-9._:%-]{0,2000}[a-zA-Z0-9._-])")
TID = re.compile(r"[234567abcdefghij][234567abcdefghijklmnopqrstuvwxyz]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
PATH = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*(\.[a-zA-Z0-9-]+)+\.[a-zA-Z][a-zA-Z0-9]*/(?!\.{1,2}$)[a-zA-Z0-9_~.:-]{1,512}")
ORDERS = {
    "k256": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    "p256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
}
CURVES = {b"\xe7\x01": ("k256", ec.SECP256K1()), b"\x80\x24": ("p256", ec.SECP256R1())}
DRIFT_US = 300_000_000
HOST_FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "#commit": {
        "seq": int, "rebase": bool, "tooBig": bool, "repo": str, "commit": bytes, "rev": str,
        "since": (str, type(None)), "blocks": bytes, "ops": list, "blobs": list, "time": str,
    },
    "#sync": {"seq": int, "did": str, "blocks": bytes, "rev": str, "time": str},
    "#identity": {"seq": int, "did": str, "time": str},
    "#account": {"seq": int, "did": str, "time": str, "active": bool},
}  # fmt: skip
OPTIONAL_FIELDS = {"prevData": bytes, "handle": str, "status": str}


class Refused(Exception):
    """The frame does not deserve to be passed on."""


def demand(condition: object, reason: str) -> None:
    if not condition:
        raise Refused(reason)


class Key(NamedTuple):
    key: bytes
    value: bytes


class Stub(NamedTuple):
    cid: bytes
    layer: int


@dataclass
class Known:
    """What is remembered of an account."""

    rev: str = ""
    data: bytes = b""
    active: bool = True


@dataclass
class StreamOracle:
    """Judges the frames of one host in order."""

    document_of: Callable[[str], Mapping[str, Any] | None]
    host_url: str
    now_us: Callable[[], int]
    accounts: dict[str, Known] = field(default_factory=dict)
    seq: int = 0

    def judge(self, frame: bytes, *, text: bool = False) -> tuple[Fate, str]:
        """Say what should become of a frame, and why."""
        try:
            return self._judge(frame, text)
        except (Refused, WireError) as refusal:
            return Fate.REJECT, str(refusal)

    def _judge(self, frame: bytes, text: bool) -> tuple[Fate, str]:
        demand(not text, "text")
        demand(len(frame) <= 5_000_000, "frame size")
        header, body = decode_pair(frame)
        demand(isinstance(header, dict) and isinstance(body, dict), "not two maps")
        assert isinstance(header, dict)
        assert isinstance(body, dict)
        demand(type(header.get("op")) is int, "op")
        if header["op"] != 1:
            return Fate.SKIP, "unknown op"
        kind = header.get("t")
        demand(isinstance(kind, str), "t")
        if kind not in HOST_FIELDS:
            return Fate.SKIP, "unknown t"
        assert isinstance(kind, str)
        message = {name: unlink(value) for name, value in body.items()}
        _check_fields(kind, message)
        demand(0 < message["seq"] < 1 << 53, "seq range")
        demand(message["seq"] > self.seq, "seq order")
        self.seq = message["seq"]
        did = message["repo" if kind == "#commit" else "did"]
        demand(len(did) <= 2_048 and DID.fullmatch(did), "did syntax")
        demand(TIME.fullmatch(message["time"]), "time")
        if kind == "#identity":
            return Fate.KEEP, ""
        return self._judge_account(kind, did, message)

    def _judge_account(self, kind: str, did: str, message: dict[str, Any]) -> tuple[Fate, str]:
        document = self.document_of(did)
        demand(document is not None, "no identity")
        assert document is not None
        demand(document["service"][0]["serviceEndpoint"] == self.host_url, "wrong host")
        known = self.accounts.setdefault(did, Known())
        if kind == "#account":
            known.active = message["active"]
            return Fate.KEEP, ""
        demand(known.active, "inactive")
        commit = _read_commit(did, message, kind, document)
        demand(_tid_us(commit["rev"]) <= self.now_us() + DRIFT_US, "future rev")
        if kind == "#commit":
            _check_tree(message, commit)
        if commit["rev"] <= known.rev:
            return Fate.REPEAT, "rev not newer"
        follows = not known.rev or (message.get("since"), message.get("prevData")) == (known.rev, known.data)
        known.rev, known.data = commit["rev"], commit["data"]
        return (Fate.KEEP if kind == "#sync" or follows else Fate.BREAK), ""


def _check_fields(kind: str, message: dict[str, Any]) -> None:
    for name, wanted in HOST_FIELDS[kind].items():
        demand(name in message, f"{name} is missing")
        value = message[name]
        demand(
            isinstance(value, wanted) and (wanted is not int or not isinstance(value, bool)),
            f"{name} has the wrong type",
        )
    for name, wanted in OPTIONAL_FIELDS.items():
        demand(name not in message or isinstance(message[name], wanted), f"{name} has the wrong type")
    demand(len(message.get("blocks", b"")) <= (10_000 if kind == "#sync" else 2_000_000), "blocks size")
    demand("rev" not in message or TID.fullmatch(message["rev"]), "rev syntax")
    demand(message.get("since") is None or TID.fullmatch(message["since"]), "since syntax")


def unlink(value: Any) -> Any:
    if isinstance(value, CBORTag):
        return bytes(value.value[1:])
    if isinstance(value, list):
        return [unlink(item) for item in value]
    if isinstance(value, dict):
        return {key: unlink(item) for key, item in value.items()}
    return value


def _tid_us(tid: str) -> int:
    value = 0
    for character in tid:
        value = value << 5 | "234567abcdefghijklmnopqrstuvwxyz".index(character)
    return value >> 10


def _read_blocks(car: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    try:
        return parse_car(car)
    except (IndexError, KeyError, AttributeError, TypeError) as error:
        raise Refused("no container") from error


def parse_car(car: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Read a container: its root, and its blocks by CID, each checked."""
    length, at = _uvarint(car, 0)
    header: Any = unlink(decode(car[at : at + length]))
    demand(header["version"] == 1 and len(header["roots"]) == 1, "container header")
    at += length
    blocks = {}
    while at < len(car):
        length, at = _uvarint(car, at)
        demand(at + length <= len(car), "container ends within a block")
        cid, data = car[at : at + 36], car[at + 36 : at + length]
        demand(cid == b"\x01\x71\x12\x20" + sha256(data).digest(), "block hash")
        blocks[cid] = data
        at += length
    return header["roots"][0], blocks


def _uvarint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def _read_commit(did: str, message: dict[str, Any], kind: str, document: Mapping[str, Any]) -> dict[str, Any]:
    root, blocks = _read_blocks(message["blocks"])
    demand(root in blocks, "commit block missing")
    signed = decode(blocks[root])
    demand(isinstance(signed, dict), "commit is no map")
    assert isinstance(signed, dict)
    demand({*signed} == {"did", "rev", "data", "prev", "version", "sig"}, "commit fields")
    commit = unlink(signed)
    demand(commit["version"] == 3 and isinstance(commit["data"], bytes), "commit version or data")
    demand(commit["did"] == did and commit["rev"] == message["rev"], "commit disagrees")
    demand(kind == "#sync" or message["commit"] == root, "commit link disagrees")
    unsigned = encode({name: value for name, value in signed.items() if name != "sig"})
    demand(verify(document["verificationMethod"][0]["publicKeyMultibase"], unsigned, commit["sig"]), "signature")
    message["_blocks"] = blocks
    return dict(commit)


def verify(multikey: str, message: bytes, signature: bytes) -> bool:
    """Check a compact low-S signature under a Multikey."""
    number = 0
    for character in multikey[1:]:
        number = number * 58 + "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".index(character)
    decoded = number.to_bytes(35, "big")
    name, curve = CURVES[decoded[:2]]
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or s > ORDERS[name] // 2:
        return False
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(curve, decoded[2:])
        public.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _check_tree(message: dict[str, Any], commit: dict[str, Any]) -> None:
    ops = message["ops"]
    demand(len(ops) <= 200, "too many ops")
    for op in ops:
        _check_op(op, message["_blocks"])
    demand(len({op["path"] for op in ops}) == len(ops), "duplicate path")
    if message["since"] is None and "prevData" not in message:
        demand(invert(message["_blocks"], commit["data"], ops) == EMPTY_ROOT, "first commit")
        return
    demand("prevData" in message, "prevData missing")
    if not ops:
        demand(commit["data"] == message["prevData"], "data changed without ops")
        return
    demand(invert(message["_blocks"], commit["data"], ops) == message["prevData"], "prevData")


def _check_op(op: Any, blocks: dict[bytes, bytes]) -> None:
    demand(isinstance(op, dict) and isinstance(op.get("path"), str) and "cid" in op, "op fields")
    demand(PATH.fullmatch(op["path"]), "path syntax")
    shape = (op["action"], op["cid"] is not None, "prev" in op)
    demand(shape in {("create", True, False), ("update", True, True), ("delete", False, True)}, "op shape")
    demand(op.get("cid") != op.get("prev"), "op changes nothing")
    if op["cid"] is not None:
        demand(op["cid"] in blocks, "record missing")
        demand(len(blocks[op["cid"]]) <= 1_000_000, "record size")


def height(key: bytes) -> int:
    """Count pairs of leading zero bits, bit by bit."""
    bits = "".join(f"{byte:08b}" for byte in sha256(key).digest())
    return (len(bits) - len(bits.lstrip("0"))) // 2


def invert(blocks: Mapping[bytes, bytes], root: bytes, ops: Sequence[Mapping[str, Any]]) -> bytes:
    """Undo operations on a partial tree; returns the root of the tree before them."""
    demand(root in blocks, "root missing")
    items = flatten(blocks, root, None)
    keys = [item.key for item in items if isinstance(item, Key)]
    demand(keys == sorted(set(keys)), "key order")
    values = {item.key: item.value for item in items if isinstance(item, Key)}
    for op in ops:
        demand(values.get(op["path"].encode()) == op["cid"], "op does not match the tree")
    for op in sorted(ops, key=lambda op: op["cid"] is not None):
        _undo(items, op["path"].encode(), op.get("prev"))
    heights = [height(item.key) if isinstance(item, Key) else item.layer for item in items]
    return _rebuild(items, max(heights, default=0)) or EMPTY_ROOT


def flatten(blocks: Mapping[bytes, bytes], cid: bytes, layer: int | None) -> list[Key | Stub]:
    if cid not in blocks:
        demand(layer is not None and layer >= 0, "stub without a layer")
        assert layer is not None
        return [Stub(cid, layer)]
    node: Any = unlink(decode(blocks[cid]))
    is_root = layer is None
    demand(isinstance(node, dict) and {*node} == {"e", "l"} and isinstance(node["e"], list), "node fields")
    entries = []
    previous = b""
    for entry in node["e"]:
        demand({*entry} == {"p", "k", "v", "t"} and isinstance(entry["k"], bytes), "entry fields")
        key = previous[: entry["p"]] + entry["k"]
        shared = next((at for at in range(len(key)) if previous[at : at + 1] != key[at : at + 1]), len(key))
        demand(0 < len(key) <= 1_024 and shared == entry["p"], "prefix")
        entries.append((key, entry["v"], entry["t"]))
        previous = key
    if entries:
        layers = {height(key) for key, _, _ in entries}
        demand(len(layers) == 1 and layer in (None, *layers), "key height")
        (layer,) = layers
    elif is_root:
        demand(node["l"] is None, "keyless root")
        layer = 0
    assert layer is not None
    demand(layer >= 0, "child of a leaf")
    demand(entries or node["l"] is not None or is_root, "empty node")
    items: list[Key | Stub] = []
    for key, value, child in ((None, None, node["l"]), *entries):
        items += [] if key is None else [Key(key, value)]
        if child is not None:
            demand(child[:4] == b"\x01\x71\x12\x20", "link to no node")
            items += flatten(blocks, child, layer - 1)
    return items


def _undo(items: list[Key | Stub], key: bytes, prev: bytes | None) -> None:
    at = next((at for at, item in enumerate(items) if isinstance(item, Key) and item.key >= key), len(items))
    present = at < len(items) and items[at][0] == key and isinstance(items[at], Key)
    if prev is None:
        del items[at]
    elif present:
        items[at] = Key(key, prev)
    else:
        demand(at == 0 or isinstance(items[at - 1], Key), "partial tree: insertion beside a missing node")
        items.insert(at, Key(key, prev))


def _rebuild(items: list[Key | Stub], layer: int) -> bytes | None:
    if not items:
        return None
    if isinstance(items[0], Stub) and items[0].layer == layer:
        demand(len(items) == 1, "partial tree: a missing node would have to be merged")
        return items[0].cid
    groups: list[list[Key | Stub]] = [[]]
    own: list[Key] = []
    for item in items:
        if isinstance(item, Key) and height(item.key) == layer:
            own.append(item)
            groups.append([])
        else:
            demand(isinstance(item, Key) or item.layer < layer, "partial tree: a missing node would have to be split")
            groups[-1].append(item)
    links = [link(_rebuild(group, layer - 1)) for group in groups]
    entries: list[Any] = []
    previous = b""
    for item, child in zip(own, links[1:], strict=True):
        shared = next((at for at in range(len(item.key)) if previous[at : at + 1] != item.key[at : at + 1]), 0)
        entries.append({"p": shared, "k": item.key[shared:], "v": link(item.value), "t": child})
        previous = item.key
    data = encode({"e": entries, "l": links[0]})
    return b"\x01\x71\x12\x20" + sha256(data).digest()


def link(cid: bytes | None) -> CBORTag | None:
    return None if cid is None else CBORTag(42, b"\0" + cid)
