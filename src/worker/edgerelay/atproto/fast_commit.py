"""The commonest frame read at one go: a `#commit` of one operation, as the servers in use write it.

Almost every frame of the network has one shape, so that two regular expressions over the bytes before and behind
`blocks` can say what the header, the scan of `dagcbor` and the checks of `messages` say one after the other. They
recognize and do not judge: whatever looks otherwise in the least, right or wrong, gives None, and is for
`frames.decode_frame` and `messages.parse_message`. Wherever this answers, those give the same `Frame` and `Commit`.
Why, and what it saves: `docs/decisions/0012`.

In the deterministic encoding shorter keys come first, and keys of one length in the order of their bytes. So the fields
stand as `ops`, `rev`, `seq`, `repo`, `time`, `blobs`, `since`, `blocks`, `commit`, `rebase`, `tooBig`, `prevData`, and
those of an operation as `cid`, `path`, `prev`, `action`.

Spec: atproto data model ("DRISL-CBOR", order of keys); the lexicon `com.atproto.sync.subscribeRepos`; sync, "Firehose".
"""

from __future__ import annotations

import re
from typing import Final

from edgerelay.atproto.cid import Cid
from edgerelay.atproto.frames import MAX_SEQ, Frame
from edgerelay.atproto.messages import MAX_COMMIT_BLOCKS_BYTES, Commit, RepoOp

__all__ = ["read_common_commit"]

MAX_START_BYTES: Final = 600
"""More than the bytes before `blocks` can be: a path has 255 at most, and everything else comes to 300."""

# Text of n bytes begins with 0x60 + n, or 0x78 and n; a string of bytes with 0x40 + n, or 0x58 to 0x5a and n (RFC 8949,
# section 3). `.` is any byte.
_HEADER: Final = r"\xa2\x61t\x67#commit\x62op\x01"
_LINK: Final = r"\xd8\x2a\x58\x25\x00(\x01\x71\x12\x20.{32})"
_TID: Final = r"\x6d([2-7a-j][2-7a-z]{12})"
_DID: Final = r"\x78\x20(did:plc:[a-z2-7]{24})"
_TIME: Final = (
    r"\x78(?:\x18(?=.{23}Z)|\x1b(?=.{26}Z))"
    r"(20[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}(?:[0-9]{3})?Z)"
)
_SEGMENT: Final = r"[a-zA-Z][a-zA-Z0-9]{0,62}"
_COLLECTION: Final = rf"{_SEGMENT}\.{_SEGMENT}\.{_SEGMENT}(?:\.{_SEGMENT})?"
_PATH: Final = rf"\x78([\x18-\xff])({_COLLECTION}/(?:[2-7a-j][2-7a-z]{{12}}|self))"
_OP: Final = (
    rf"([\xa3\xa4])\x63cid(?:{_LINK}|\xf6)\x64path{_PATH}(?:\x64prev{_LINK})?\x66action\x66(create|update|delete)"
)

_OPS: Final = {
    ("\xa3", False, True, "create"),
    ("\xa4", False, False, "update"),
    ("\xa4", True, False, "delete"),
}
"""What belongs together: the head of an operation, whether `cid` is null, whether `prev` is missing, the action."""

_START: Final = re.compile(
    rf"{_HEADER}\xac\x63ops\x81{_OP}\x63rev{_TID}\x63seq(\x18.|\x19..|\x1a.{{4}}|\x1b.{{8}})\x64repo{_DID}"
    rf"\x64time{_TIME}\x65blobs\x80\x65since(?:{_TID}|\xf6)\x66blocks(\x58.|\x59..|\x5a.{{4}})",
    re.DOTALL,
)
_END: Final = re.compile(
    rf"\x66commit{_LINK}\x66rebase\xf4\x66tooBig\xf4\x68prevData{_LINK}".encode("ascii"), re.DOTALL
)

_LEAST: Final = {1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}
"""The smallest argument that needs so many bytes: a smaller one would not be in its shortest form."""

_SEQ_GROUP: Final = 8
"""The group of `_START` that is the value of `seq`."""


def read_common_commit(raw: bytes) -> tuple[Frame, Commit] | None:
    """Read a frame if it is of the commonest shape; None says nothing about it but that it is not."""
    start = _START.match(raw[:MAX_START_BYTES].decode("latin-1"))
    if start is None:
        return None
    op, cid, path_size, path, prev, action, rev, seq_item, did, time, since, blocks_head = start.groups()
    if (op, cid is None, prev is None, action) not in _OPS or ord(path_size) != len(path):
        return None
    seq, blocks_bytes = _argument(seq_item), _argument(blocks_head)
    if not 0 < seq <= MAX_SEQ or not 0 < blocks_bytes <= MAX_COMMIT_BLOCKS_BYTES:
        return None
    blocks_at = start.end()
    end = _END.fullmatch(raw, blocks_at + blocks_bytes)
    if end is None:
        return None
    commit, prev_data = end.groups()
    ops = (RepoOp(action, path, _cid(cid), _cid(prev)),)
    blocks = raw[blocks_at : blocks_at + blocks_bytes]
    message = Commit(seq, did, rev, since, Cid(commit), blocks, ops, Cid(prev_data), time)
    return Frame("#commit", None, raw, start.span(_SEQ_GROUP)), message


def _argument(item: str) -> int:
    """The argument of a head, from the head and all bytes that belong to it; 0 if that is not its shortest form."""
    digits = item[1:].encode("latin-1")
    value = int.from_bytes(digits, "big")
    return value if value >= _LEAST[len(digits)] else 0


def _cid(link: str | None) -> Cid | None:
    return None if link is None else Cid(link.encode("latin-1"))
