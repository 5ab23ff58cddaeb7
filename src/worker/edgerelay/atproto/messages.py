"""Messages of `com.atproto.sync.subscribeRepos`: the fields that each must have, and their types and sizes.

Owns the step from a decoded body to a value whose fields can be trusted to have their types. It does not look into
`blocks`, and knows nothing of accounts, order or signatures. Unknown fields are allowed: they stay in the frame.

Spec: the lexicon `com.atproto.sync.subscribeRepos`; sync, "Firehose" and "Limits".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias, TypeVar

from cbor2 import CBORTag

from edgerelay.atproto.cid import Cid, cid_from_link, is_cbor_cid
from edgerelay.atproto.dagcbor import Value
from edgerelay.atproto.frames import MAX_SEQ
from edgerelay.atproto.syntax import is_datetime, is_did, is_plc_did, is_repo_path, is_tid
from edgerelay.errors import WireError

__all__ = [
    "KINDS",
    "LEGACY_KINDS",
    "MAX_COMMIT_BLOCKS_BYTES",
    "MAX_OPS",
    "MAX_SYNC_BLOCKS_BYTES",
    "Account",
    "Commit",
    "Identity",
    "Info",
    "Message",
    "MessageError",
    "RepoOp",
    "Sync",
    "parse_info",
    "parse_message",
    "read_seq",
]

MAX_COMMIT_BLOCKS_BYTES: Final = 2_000_000
"""`blocks` of a `#commit` (lexicon; sync, "Limits")."""

MAX_SYNC_BLOCKS_BYTES: Final = 10_000
"""`blocks` of a `#sync`: one commit object (lexicon)."""

MAX_OPS: Final = 200
"""Operations of one `#commit` (lexicon; sync, "Limits")."""

LEGACY_KINDS: Final = frozenset({"#handle", "#migrate", "#tombstone"})
"""Messages that must no longer be produced; they are dropped and counted apart from unknown ones."""

_ACTIONS: Final = frozenset({"create", "update", "delete"})

Body: TypeAlias = "dict[str, Value]"

_T = TypeVar("_T", bool, int, str, list[Value])


class MessageError(WireError):
    """A message that lacks a field, or has one of the wrong type, form or size.

    Attributes:
        code: `missing_field`, `wrong_type`, `bad_value`, `too_many_ops` or `too_large`.
        field: the field's name, with the index of an operation if it belongs to one.
    """

    def __init__(self, code: str, field: str) -> None:
        super().__init__(f"{code.replace('_', ' ')}: {field}")
        self.code = code
        self.field = field


class RepoOp(NamedTuple):
    """One operation of a commit: a record that was created, updated or deleted."""

    action: str
    path: str
    cid: Cid | None
    prev: Cid | None


class Commit(NamedTuple):
    """`#commit`: a repository went from one state to the next."""

    seq: int
    did: str
    rev: str
    since: str | None
    commit: Cid
    blocks: bytes
    ops: tuple[RepoOp, ...]
    prev_data: Cid | None
    time: str


class Sync(NamedTuple):
    """`#sync`: the state of a repository now, whatever came before."""

    seq: int
    did: str
    rev: str
    blocks: bytes
    time: str


class Identity(NamedTuple):
    """`#identity`: the DID document or the handle may have changed."""

    seq: int
    did: str
    handle: str | None
    time: str


class Account(NamedTuple):
    """`#account`: the hosting status of an account at the sending host."""

    seq: int
    did: str
    active: bool
    status: str | None
    time: str


class Info(NamedTuple):
    """`#info`: a note about the stream; it has no sequence number."""

    name: str
    message: str


Message: TypeAlias = "Commit | Sync | Identity | Account"


def parse_message(kind: str, body: Body) -> Message:
    """Turn the body of a numbered message into a value.

    Raises:
        MessageError: a field is missing, or has the wrong type, form or size.
        KeyError: the kind is not one of `KINDS`; ask before calling.
    """
    return _PARSERS[kind](body)


def parse_info(body: Body) -> Info:
    """Read an `#info`; what is missing is empty, since nothing depends on it."""
    name, message = body.get("name"), body.get("message")
    return Info(name if isinstance(name, str) else "", message if isinstance(message, str) else "")


def read_seq(body: Body) -> int | None:
    """The sequence number of a message that may be wrong otherwise, or None if it has none in range."""
    seq = body.get("seq")
    return seq if type(seq) is int and 0 < seq <= MAX_SEQ else None


def _parse_commit(body: Body) -> Commit:
    ops = _field(body, "ops", list)
    if len(ops) > MAX_OPS:
        raise MessageError("too_many_ops", "ops")
    _field(body, "rebase", bool)
    _field(body, "tooBig", bool)
    _field(body, "blobs", list)
    if "since" not in body:
        raise MessageError("missing_field", "since")
    since = body["since"]
    return Commit(
        _seq(body),
        _text(body, "repo", _is_account_did),
        _text(body, "rev", is_tid),
        None if since is None else _text(body, "since", is_tid),
        _block_link(body, "commit"),
        _blocks(body, MAX_COMMIT_BLOCKS_BYTES),
        _parse_ops(ops),
        _block_link(body, "prevData") if "prevData" in body else None,
        _text(body, "time", is_datetime),
    )


def _parse_ops(ops: list[Value]) -> tuple[RepoOp, ...]:
    parsed = tuple([_parse_op(op, index) for index, op in enumerate(ops)])
    if len(parsed) > 1 and len({op.path for op in parsed}) < len(parsed):
        raise MessageError("bad_value", "ops")
    return parsed


def _parse_op(op: Value, index: int) -> RepoOp:
    if type(op) is not dict:
        raise MessageError("wrong_type", f"ops[{index}]")
    try:
        action, path = _text(op, "action", _ACTIONS.__contains__), _text(op, "path", is_repo_path)
        if "cid" not in op:
            raise MessageError("missing_field", "cid")
        cid = None if op["cid"] is None else _link(op, "cid")
        prev = _link(op, "prev") if "prev" in op else None
        if (cid is None) != (action == "delete"):
            raise MessageError("bad_value", "cid")
        if (prev is None) != (action == "create"):
            raise MessageError("bad_value" if prev else "missing_field", "prev")
    except MessageError as error:
        raise MessageError(error.code, f"ops[{index}].{error.field}") from None
    return RepoOp(action, path, cid, prev)


def _parse_sync(body: Body) -> Sync:
    return Sync(
        _seq(body),
        _text(body, "did", _is_account_did),
        _text(body, "rev", is_tid),
        _blocks(body, MAX_SYNC_BLOCKS_BYTES),
        _text(body, "time", is_datetime),
    )


def _parse_identity(body: Body) -> Identity:
    """A handle proves nothing, whatever it looks like: that it is text is all that matters here."""
    handle = _field(body, "handle", str) if "handle" in body else None
    return Identity(_seq(body), _text(body, "did", _is_account_did), handle, _text(body, "time", is_datetime))


def _parse_account(body: Body) -> Account:
    status = _field(body, "status", str) if "status" in body else None
    active = _field(body, "active", bool)
    return Account(_seq(body), _text(body, "did", _is_account_did), active, status, _text(body, "time", is_datetime))


_PARSERS: Final[dict[str, Callable[[Body], Message]]] = {
    "#commit": _parse_commit,
    "#sync": _parse_sync,
    "#identity": _parse_identity,
    "#account": _parse_account,
}

KINDS: Final = tuple(_PARSERS)
"""The kinds of numbered messages, as a frame's header names them."""


def _field(body: Body, name: str, kind: type[_T]) -> _T:
    value = body.get(name)
    if type(value) is not kind:
        raise MessageError("missing_field" if name not in body else "wrong_type", name)
    return value


def _seq(body: Body) -> int:
    seq = read_seq(body)
    if seq is None:
        _field(body, "seq", int)
        raise MessageError("bad_value", "seq")
    return seq


def _text(body: Body, name: str, is_valid: Callable[[str], bool]) -> str:
    value = body.get(name)
    if type(value) is not str:
        raise MessageError("missing_field" if name not in body else "wrong_type", name)
    if not is_valid(value):
        raise MessageError("bad_value", name)
    return value


def _is_account_did(text: str) -> bool:
    """A DID of a method that the network uses (DID, "Blessed DID Methods")."""
    return is_plc_did(text) or (text.startswith("did:web:") and is_did(text))


def _block_link(body: Body, name: str) -> Cid:
    cid = _link(body, name)
    if not is_cbor_cid(cid):
        raise MessageError("bad_value", name)
    return cid


def _link(body: Body, name: str) -> Cid:
    value = body.get(name)
    if type(value) is not CBORTag:
        raise MessageError("missing_field" if name not in body else "wrong_type", name)
    try:
        return cid_from_link(value)
    except WireError:
        raise MessageError("bad_value", name) from None


def _blocks(body: Body, limit_bytes: int) -> bytes:
    blocks = body.get("blocks")
    if type(blocks) is not bytes:
        raise MessageError("missing_field" if "blocks" not in body else "wrong_type", "blocks")
    if len(blocks) > limit_bytes:
        raise MessageError("too_large", "blocks")
    return blocks
