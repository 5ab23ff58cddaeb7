"""The Jetstream lines of an event: one pure function of the frame as it is kept, the same live and in replay.

A line is the JSON of one operation, or of an `#identity` or `#account`, byte for byte as Jetstream v1 sends it but for
the numbers, which are ours: `time_us` is the event's number plus the index of the operation. A `#sync` has no lines.

An operation that has no line is skipped alone and by its reason, as Jetstream does; the others keep their numbers. Whom
a line concerns stands beside it, for filters. What a line is sent in (a message, a compressed frame, a block of the
archive) is not asked here.

Spec: Jetstream v1, "Event JSON" as it is served, the repository bluesky-social/jetstream-legacy.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from edgerelay.atproto.car import parse_car
from edgerelay.atproto.cid import Cid, cid_to_text
from edgerelay.atproto.fast_commit import read_common_commit
from edgerelay.atproto.frames import Frame, decode_frame
from edgerelay.atproto.messages import KINDS, Account, Commit, Identity, Message, RepoOp, Sync, parse_message
from edgerelay.atproto.record_json import RecordError, record_to_json, text_to_json
from edgerelay.errors import InvariantError, WireError

__all__ = [
    "MAX_RECORDS_BYTES",
    "Line",
    "LineKind",
    "RenderError",
    "Rendering",
    "SkipReason",
    "Skipped",
    "read_kept",
    "render",
]

MAX_RECORDS_BYTES: Final = 16_000_000
"""JSON of the records in one frame's lines. Its blocks have 2 MB and grow sixfold where every letter is escaped; more
comes only of operations that repeat a large record, up to 200 times, or of records full of empty strings of bytes."""


class RenderError(InvariantError):
    """What was kept as a frame is damaged, or not a message that is kept: nothing of it can be rendered."""


class LineKind(StrEnum):
    """What a line is about, in its own words."""

    COMMIT = "commit"
    IDENTITY = "identity"
    ACCOUNT = "account"


class SkipReason(StrEnum):
    """Why an operation has no line."""

    TOO_BIG = "too_big"
    """The commit says, as was once allowed, that it does not hold all that it changed."""

    BAD_CAR = "bad_car"
    """The blocks cannot be read, or a record does not hash to its CID: nothing of the commit has a line."""

    NO_BLOCK = "no_block"
    """The record that was created or updated is not among the blocks."""

    NO_JSON = "no_json"
    """The record has no JSON form."""

    TOO_MUCH = "too_much"
    """With this record, the lines of the frame would hold more than `MAX_RECORDS_BYTES` of records."""


class Line(NamedTuple):
    """One event of Jetstream, and what filters ask of it."""

    time_us: int
    kind: LineKind
    did: str
    collection: str
    """Empty if this is not about a record."""

    json: bytes
    """UTF-8, without a newline at its end or anywhere in it."""


class Skipped(NamedTuple):
    """An operation without a line."""

    path: str
    reason: SkipReason


class Rendering(NamedTuple):
    """Everything that a frame says in Jetstream: for each operation either a line or why there is none."""

    lines: tuple[Line, ...] = ()
    skipped: tuple[Skipped, ...] = ()


_NOTHING: Final = Rendering()


def render(raw: bytes) -> Rendering:
    """Render the lines of a frame that bears our number; of one that was purged there is nothing.

    Raises:
        RenderError: this is no frame that is kept. Whatever a record may be, it is never the reason.
    """
    if not raw:
        return _NOTHING  # it was purged
    common = read_common_commit(raw)
    if common is not None:
        return _render_commit(common[1])
    frame, message = read_kept(raw)
    match message:
        case Commit():
            if frame.body["tooBig"]:
                return _without_lines(message, SkipReason.TOO_BIG)
            return _render_commit(message)
        case Identity():
            return _render_identity(message)
        case Account():
            return _render_account(message)
        case Sync():
            return _NOTHING


def read_kept(raw: bytes) -> tuple[Frame, Message]:
    """Read a frame that is kept. Raises `RenderError` if it is none."""
    try:
        frame = decode_frame(raw)
        if isinstance(frame, Frame) and frame.kind in KINDS:
            return frame, parse_message(frame.kind, frame.body)
    except WireError as error:
        raise RenderError(f"a kept frame cannot be read: {error}") from error
    raise RenderError("a kept frame is not a numbered message")


def _render_commit(commit: Commit) -> Rendering:
    wanted = {op.cid for op in commit.ops if op.cid is not None}
    try:
        blocks = parse_car(commit.blocks, wanted).blocks
    except WireError:
        return _without_lines(commit, SkipReason.BAD_CAR)
    lines: list[Line] = []
    skipped: list[Skipped] = []
    # Each record once, however many operations write it; a delete writes none.
    records: dict[Cid | None, bytes | SkipReason] = {None: b""}
    left_bytes = MAX_RECORDS_BYTES
    for time_us, op in enumerate(commit.ops, commit.seq):
        if op.cid is not None and op.cid not in records:
            records[op.cid] = _record_fields(op.cid, blocks)
        record = records[op.cid]
        if isinstance(record, bytes) and len(record) > left_bytes:
            record = records[op.cid] = SkipReason.TOO_MUCH
        if isinstance(record, SkipReason):
            skipped.append(Skipped(op.path, record))
        else:
            left_bytes -= len(record)
            lines.append(_operation_line(time_us, commit, op, record))
    return Rendering(tuple(lines), tuple(skipped))


def _without_lines(commit: Commit, reason: SkipReason) -> Rendering:
    return Rendering(skipped=tuple([Skipped(op.path, reason) for op in commit.ops]))


def _record_fields(cid: Cid, blocks: Mapping[Cid, bytes]) -> bytes | SkipReason:
    block = blocks.get(cid)
    if block is None:
        return SkipReason.NO_BLOCK
    try:
        return b',"record":%b,"cid":"%b"' % (record_to_json(block), cid_to_text(cid).encode())
    except RecordError:
        return SkipReason.NO_JSON


# Only text of people's own choice is escaped: no syntax of identifiers and times has a letter that must be.


def _operation_line(time_us: int, commit: Commit, op: RepoOp, record: bytes) -> Line:
    collection, _, record_key = op.path.partition("/")
    start = (
        f'{{"did":"{commit.did}","time_us":{time_us},"kind":"commit","commit":{{"rev":"{commit.rev}",'
        f'"operation":"{op.action}","collection":"{collection}","rkey":"{record_key}"'
    )
    return Line(time_us, LineKind.COMMIT, commit.did, collection, start.encode() + record + b"}}")


def _render_identity(identity: Identity) -> Rendering:
    handle = _optional("handle", identity.handle)
    start, end = f'"did":"{identity.did}",', f'"seq":{identity.seq},"time":"{identity.time}"'
    return _render_one(LineKind.IDENTITY, identity, start.encode() + handle + end.encode())


def _render_account(account: Account) -> Rendering:
    active, status = "true" if account.active else "false", _optional("status", account.status)
    start, end = f'"active":{active},"did":"{account.did}","seq":{account.seq},', f'"time":"{account.time}"'
    return _render_one(LineKind.ACCOUNT, account, start.encode() + status + end.encode())


def _optional(name: str, text: str | None) -> bytes:
    return b"" if text is None else b'"%b":%b,' % (name.encode(), text_to_json(text))


def _render_one(kind: LineKind, message: Identity | Account, fields: bytes) -> Rendering:
    start = f'{{"did":"{message.did}","time_us":{message.seq},"kind":"{kind}","{kind}":{{'
    return Rendering((Line(message.seq, kind, message.did, "", start.encode() + fields + b"}}"),))
