from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.cid import cid_for_cbor
from edgerelay.atproto.dagcbor import decode
from edgerelay_dev.network import mst
from edgerelay_dev.network.car import read_car
from edgerelay_dev.network.key import derive_key
from edgerelay_dev.network.repository import Change, Create, Delete, Record, Repository, Update, Write
from edgerelay_dev.network.tid import tid_text
from tests.unit.dev.network.stream_oracle import EMPTY_ROOT, invert, unlink

KEY = derive_key("p256", "repository")
DID = "did:plc:" + "a" * 24
PATHS = [f"app.bsky.feed.like/{number}" for number in range(40)]
REVS = [tid_text(1_700_000_000_000_000 + number, 0) for number in range(200)]


def record(number: int) -> Record:
    return {"$type": "app.bsky.feed.like", "number": number}


def inverted(change: Change) -> bytes:
    """Undo a change with nothing but its own blocks; where nothing was done there need not be any."""
    if not change.ops:
        return change.commit.root
    ops = [{"path": op.path, "cid": op.cid} | ({} if op.prev is None else {"prev": op.prev}) for op in change.ops]
    return invert(dict(change.blocks), change.commit.root, ops)


def writes_for(repository: Repository, paths: list[str], number: int) -> list[Write]:
    """Create what is missing; update or delete what is there, in turn."""
    writes: list[Write] = []
    for path in paths:
        if path not in repository.records:
            writes.append(Create(path, record(number)))
        else:
            writes.append(Delete(path) if number % 2 else Update(path, record(number)))
    return writes


@given(st.lists(st.lists(st.sampled_from(PATHS), unique=True, max_size=12), max_size=12))
def test_every_commit_can_be_undone_from_its_own_blocks(history: list[list[str]]) -> None:
    repository = Repository(DID)
    data, rev = EMPTY_ROOT, None
    for number, paths in enumerate(history):
        change = repository.commit(writes_for(repository, paths, number), REVS[number], KEY)
        assert (change.since, change.prev_data) == (rev, None if rev is None else data)
        assert inverted(change) == data
        rev, data = change.commit.rev, change.commit.root


def test_commit_object_is_what_the_specification_says() -> None:
    change = Repository(DID).commit([Create(PATHS[0], record(0))], REVS[0], KEY)
    signed = unlink(decode(change.commit.block.data))
    assert {name: signed[name] for name in ("did", "version", "prev", "rev", "data")} == {
        "did": DID, "version": 3, "prev": None, "rev": REVS[0], "data": change.commit.root
    }  # fmt: skip
    assert len(signed["sig"]) == 64


def test_first_commit_without_records_has_the_empty_tree() -> None:
    change = Repository(DID).commit([], REVS[0], KEY)
    assert change.commit.root == EMPTY_ROOT
    assert [block.cid for block in change.blocks] == [EMPTY_ROOT, change.commit.block.cid]


def test_commit_leaves_out_what_nobody_needs() -> None:
    repository = Repository(DID)
    repository.commit([Create(f"app.bsky.feed.like/{number}", record(number)) for number in range(3_000)], REVS[0], KEY)
    change = repository.commit([Create("app.bsky.feed.post/1", record(0))], REVS[1], KEY)
    assert len(change.blocks) < 20
    assert read_car(change.car)[1] == list(change.blocks)


@pytest.mark.parametrize("write", [Update(PATHS[0], {}), Delete(PATHS[0])])
def test_write_to_a_path_without_a_record_is_an_error(write: Write) -> None:
    with pytest.raises(KeyError):
        Repository(DID).commit([write], REVS[0], KEY)


def test_create_at_a_path_with_a_record_is_an_error() -> None:
    repository = Repository(DID)
    repository.commit([Create(PATHS[0], {})], REVS[0], KEY)
    with pytest.raises(KeyError):
        repository.commit([Create(PATHS[0], {})], REVS[1], KEY)


def test_bytes_are_stored_as_they_are() -> None:
    repository = Repository(DID)
    repository.commit([Create(PATHS[0], b"\xff")], REVS[0], KEY)
    assert repository.records[PATHS[0]] == (cid_for_cbor(b"\xff"), b"\xff")


def test_fill_takes_in_everything_and_the_next_commit_follows() -> None:
    repository = Repository(DID)
    head = repository.fill([(path, record(0)) for path in PATHS], REVS[0], KEY)
    assert [entry.key.decode() for entry in mst.entries(repository.tree)] == sorted(PATHS)
    change = repository.commit([Delete(PATHS[3])], REVS[1], KEY)
    assert (change.since, change.prev_data) == (head.rev, head.root)
    assert inverted(change) == head.root


def test_signing_again_changes_the_rev_alone() -> None:
    repository = Repository(DID)
    first = repository.commit([Create(PATHS[0], {})], REVS[0], KEY).commit
    second = repository.sign_again(REVS[1], KEY)
    assert (second.rev, second.root) == (REVS[1], first.root)
    assert second.block.cid != first.block.cid
    assert repository.head is second


def test_fork_and_original_go_their_own_ways() -> None:
    repository = Repository(DID)
    repository.commit([Create(PATHS[0], {})], REVS[0], KEY)
    fork = repository.fork()
    fork.commit([Delete(PATHS[0])], REVS[1], KEY)
    assert repository.head is not None
    assert (PATHS[0] in repository.records, repository.head.rev) == (True, REVS[0])


def test_export_holds_commit_tree_and_records() -> None:
    repository = Repository(DID)
    repository.commit([Create(path, record(0)) for path in PATHS], REVS[0], KEY)
    root, blocks = read_car(repository.export())
    assert repository.head is not None
    assert root == blocks[0].cid == repository.head.block.cid
    assert {block.cid for block in blocks} == {
        root, *(node.cid for node in mst.nodes(repository.tree)), cid_for_cbor(repository.records[PATHS[0]].data)
    }  # fmt: skip
