"""Right CBOR that says wrong things: fields missing, null, of the wrong type or out of range, and odd but right ones.

Spec: the `com.atproto.sync.subscribeRepos` Lexicon; sync ("limits"); identifier syntaxes.
"""

from __future__ import annotations

from typing import Final, cast

from edgerelay.atproto.cid import cid_for_cbor, cid_for_raw, cid_to_link
from edgerelay.atproto.dagcbor import Value
from edgerelay_dev.network.malformed.kind import Fate, Malformed, malformed
from edgerelay_dev.network.malformed.material import Body, Material

REQUIRED: Final = {
    "#commit": ("seq", "rebase", "tooBig", "repo", "commit", "rev", "since", "blocks", "ops", "blobs", "time"),
    "#sync": ("seq", "did", "blocks", "rev", "time"),
    "#identity": ("seq", "did", "time"),
    "#account": ("seq", "did", "time", "active"),
}
"""Fields that the Lexicon requires."""

OPTIONAL: Final = {"#commit": ("prevData",), "#sync": (), "#identity": ("handle",), "#account": ("status",)}

NULLABLE: Final = frozenset({"since"})

_OTHER_LINK: Final = cid_to_link(cid_for_cbor(b"something else"))
_MAX_BLOCKS_BYTES: Final = 2_000_000
_MAX_SYNC_BLOCKS_BYTES: Final = 10_000
_MAX_OPS: Final = 200
_MAX_SEQ: Final = (1 << 53) - 1
_DID_CHARS: Final = 2_048


def _without(kind: str, field: str) -> Malformed:
    def build(material: Material) -> bytes:
        body = material.body(kind)
        del body[field]
        return material.write(kind, body)

    return Malformed(f"{kind[1:]}_without_{field}", f"A `{kind}` that lacks `{field}`.", Fate.REJECT, build)


def _with(kind: str, field: str, value: Value, what: str) -> Malformed:
    def build(material: Material) -> bytes:
        return material.frame(kind, **{field: value})

    description = f"A `{kind}` whose `{field}` is {what.replace('_', ' ')}."
    return Malformed(f"{kind[1:]}_{field}_{what}", description, Fate.REJECT, build)


GENERATED: Final = (
    *(_without(kind, field) for kind, names in REQUIRED.items() for field in names),
    *(_with(kind, field, None, "null") for kind, names in REQUIRED.items() for field in names if field not in NULLABLE),
    # An empty map is the wrong type for every field that there is.
    *(_with(kind, field, {}, "of_wrong_type") for kind in REQUIRED for field in (*REQUIRED[kind], *OPTIONAL[kind])),
)
"""Kinds that differ only by the field."""


@malformed(Fate.REJECT)
def seq_repeated(material: Material) -> bytes:
    """The number of the event before, on an event of its own."""
    return material.frame("#identity", seq=material.seq - 1)


@malformed(Fate.REJECT)
def seq_backwards(material: Material) -> bytes:
    """A number far below the last."""
    return material.frame("#identity", seq=1)


@malformed(Fate.REJECT)
def seq_zero(material: Material) -> bytes:
    """Number 0: the first is 1."""
    return material.frame("#identity", seq=0)


@malformed(Fate.REJECT)
def seq_negative(material: Material) -> bytes:
    """A negative number."""
    return material.frame("#identity", seq=-1)


@malformed(Fate.REJECT)
def seq_too_large(material: Material) -> bytes:
    """Number 2^53, the first that JavaScript cannot count to."""
    return material.frame("#identity", seq=_MAX_SEQ + 1)


@malformed(Fate.REJECT)
def oversize_blocks(material: Material) -> bytes:
    """A `#commit` whose `blocks` are over 2,000,000 bytes: three large records."""
    writes = [material.create("x" * 700_000) for _ in range(3)]
    return material.write("#commit", material.commit_body(material.change(*writes)))


@malformed(Fate.REJECT)
def oversize_record(material: Material) -> bytes:
    """A record of more than 1,000,000 bytes in `blocks` that are not too large."""
    return material.write("#commit", material.commit_body(material.change(material.create("x" * 1_000_000))))


@malformed(Fate.REJECT)
def oversize_sync_blocks(material: Material) -> bytes:
    """A `#sync` whose `blocks` are over 10,000 bytes."""
    return material.frame("#sync", blocks=bytes(_MAX_SYNC_BLOCKS_BYTES + 1))


@malformed(Fate.REJECT)
def too_many_ops(material: Material) -> bytes:
    """A commit of 201 operations, right in itself."""
    writes = [material.create() for _ in range(_MAX_OPS + 1)]
    return material.write("#commit", material.commit_body(material.change(*writes)))


@malformed(Fate.KEEP)
def most_ops(material: Material) -> bytes:
    """A commit of exactly 200 operations."""
    writes = [material.create() for _ in range(_MAX_OPS)]
    return material.write("#commit", material.commit_body(material.change(*writes)))


@malformed(Fate.REJECT)
def bad_did(material: Material) -> bytes:
    """A DID with a character that DIDs cannot have."""
    return material.frame("#identity", did="did:plc:not a did")


@malformed(Fate.REJECT)
def bad_plc_did(material: Material) -> bytes:
    """A `did:plc` that is too short to be one."""
    return material.frame("#identity", did="did:plc:short")


@malformed(Fate.REJECT)
def unsupported_did_method(material: Material) -> bytes:
    """A right DID of a method that the network does not use."""
    return material.frame("#identity", did="did:key:zQ3shqwJEJyMBsBXCWyCBpUBMqxcon9oHB7mCvx4sSpMdLJwc")


@malformed(Fate.REJECT)
def long_did(material: Material) -> bytes:
    """A DID of more than 2,048 characters."""
    return material.frame("#identity", did="did:web:" + "a" * _DID_CHARS)


@malformed(Fate.REJECT)
def bad_rev(material: Material) -> bytes:
    """A rev that is no TID."""
    return material.frame("#commit", rev="not-a-tid-at-all")


@malformed(Fate.REJECT)
def bad_sync_rev(material: Material) -> bytes:
    """A `#sync` whose rev is no TID."""
    return material.frame("#sync", rev="0000000000000")


@malformed(Fate.REJECT)
def bad_since(material: Material) -> bytes:
    """A `since` that is no TID."""
    return material.frame("#commit", since="yesterday")


@malformed(Fate.REJECT)
def bad_time(material: Material) -> bytes:
    """A `time` that is no datetime."""
    return material.frame("#identity", time="half past nine")


@malformed(Fate.KEEP)
def offset_time(material: Material) -> bytes:
    """A `time` with an offset instead of `Z`, which some hosts write."""
    return material.frame("#identity", time="2026-11-23T07:04:34.471290+00:00")


@malformed(Fate.KEEP)
def bad_handle(material: Material) -> bytes:
    """A `handle` that is none: it proves nothing, and a relay may drop the field or leave it."""
    return material.frame("#identity", handle="not_a_handle")


@malformed(Fate.KEEP)
def unknown_body_field(material: Material) -> bytes:
    """A commit with a field that nobody has defined: it stays."""
    return material.frame("#commit", mystery={"of": ["any", 1, None]})


@malformed(Fate.KEEP)
def too_big(material: Material) -> bytes:
    """A commit that says `tooBig`, which is to be ignored."""
    return material.frame("#commit", tooBig=True)


@malformed(Fate.KEEP)
def some_blobs(material: Material) -> bytes:
    """A commit with something in `blobs`, which is to be ignored."""
    return material.frame("#commit", blobs=[cid_to_link(cid_for_raw(b"blob"))])


@malformed(Fate.KEEP)
def unknown_status(material: Material) -> bytes:
    """An inactive account whose status nobody has defined: `active` alone counts."""
    material.account.status = "resting"
    return material.frame("#account", active=False, status="resting")


@malformed(Fate.KEEP)
def active_with_status(material: Material) -> bytes:
    """An account that is active and yet has a status, as the account specification allows."""
    return material.frame("#account", status="throttled")


@malformed(Fate.REJECT)
def commit_link_of_raw(material: Material) -> bytes:
    """A `commit` link whose CID says that the block is no CBOR."""
    return material.frame("#commit", commit=cid_to_link(cid_for_raw(b"")))


@malformed(Fate.REJECT)
def op_not_map(material: Material) -> bytes:
    """An operation that is a text."""
    return material.frame("#commit", ops=["create"])


@malformed(Fate.REJECT)
def unknown_action(material: Material) -> bytes:
    """An operation with an action that nobody has defined."""
    return _with_op(material, action="replace")


@malformed(Fate.REJECT)
def bad_path(material: Material) -> bytes:
    """An operation on a path of three parts."""
    return _with_op(material, path="app.bsky.feed.post/one/two")


@malformed(Fate.REJECT)
def bad_collection(material: Material) -> bytes:
    """An operation in a collection whose name is no NSID."""
    return _with_op(material, path="posts/3jui7kd54zh2y")


@malformed(Fate.REJECT)
def bad_record_key(material: Material) -> bytes:
    """An operation on the record key `..`."""
    return _with_op(material, path="app.bsky.feed.post/..")


@malformed(Fate.REJECT)
def create_without_cid(material: Material) -> bytes:
    """A creation whose `cid` is null."""
    return _with_op(material, cid=None)


@malformed(Fate.REJECT)
def create_with_prev(material: Material) -> bytes:
    """A creation that says what was there before."""
    return _with_op(material, prev=_OTHER_LINK)


@malformed(Fate.REJECT)
def update_without_prev(material: Material) -> bytes:
    """An update that does not say what it replaces."""
    return _with_op(material, action="update")


@malformed(Fate.REJECT)
def delete_with_cid(material: Material) -> bytes:
    """A deletion that has a `cid`."""
    return _with_op(material, action="delete", prev=_OTHER_LINK)


@malformed(Fate.REJECT)
def op_without_path(material: Material) -> bytes:
    """An operation that lacks its `path`."""
    body = material.commit_body()
    del _first_op(body)["path"]
    return material.write("#commit", body)


@malformed(Fate.REJECT)
def op_without_cid(material: Material) -> bytes:
    """An operation that lacks its `cid`."""
    body = material.commit_body()
    del _first_op(body)["cid"]
    return material.write("#commit", body)


@malformed(Fate.REJECT)
def duplicate_path(material: Material) -> bytes:
    """Two operations on one path."""
    body = material.commit_body()
    return material.write("#commit", body | {"ops": [_first_op(body), _first_op(body)]})


def _with_op(material: Material, **changes: Value) -> bytes:
    body = material.commit_body()
    _first_op(body).update(changes)
    return material.write("#commit", body)


def _first_op(body: Body) -> dict[str, Value]:
    return cast("list[dict[str, Value]]", body["ops"])[0]
