"""Purging blocks: the bytes of one account go, and everything else stays as it was, numbers and ranges too."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.batch import KINDS, Batch, BatchBuilder
from edgerelay.archive.blob_block import open_references
from edgerelay.archive.block import BlockError, Contents, SealedBlock, collections_of, seal, unseal
from edgerelay.archive.codec import ZlibCodec
from edgerelay.archive.container import ContainerWriter
from edgerelay.archive.container_index import Stream
from edgerelay.archive.did_filter import DidFilter, hash_did
from edgerelay.archive.firehose_block import open_batch, seal_batch
from edgerelay.archive.jetstream import render
from edgerelay.archive.purge import purge_batch, purge_block, purged_container
from tests.oracle import frames
from tests.oracle.repo import Repo
from tests.packing import blob_blocks

CODEC = ZlibCodec()
CODECS = {CODEC.id: CODEC}
DIDS = [f"did:plc:{letter}" for letter in "abc"]
POSITIONS = ((1, 0, 17, ((19, 20),), 5, 0),)

EVENTS = st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(DIDS), st.integers(1, 3)), min_size=1, max_size=12)


def batch_of(events: Sequence[tuple[str, str, int]], accounts: bytes = b"") -> Batch:
    builder = BatchBuilder(100)
    seq = 101
    for kind, did, width in events:
        paths = tuple(f"app.test.of{did[-1]}/{index}" for index in range(width)) if kind == "#commit" else ()
        builder.add(seq, kind, did, paths, f"{seq} {did}".encode() * 3)
        seq += width
    return builder.build(POSITIONS, accounts)


def lines_of(batch: Batch) -> SealedBlock:
    """Lines as Jetstream writes them: one for each operation, and for an account or identity."""
    head = batch.head
    lines = []
    for seq, kind, did, paths in zip(head.seqs, head.kinds, head.dids, head.paths, strict=True):
        for index, path in enumerate(paths):
            commit = {
                "rev": "3a",
                "operation": "delete",
                "collection": path.partition("/")[0],
                "rkey": path.partition("/")[2],
            }
            lines.append({"did": did, "time_us": seq + index, "kind": "commit", "commit": commit})
        if kind in ("#account", "#identity"):
            name = kind.removeprefix("#")
            lines.append({"did": did, "time_us": seq, "kind": name, name: {"did": did}})
    counts = tuple([sum(f"#{line['kind']}" == kind for line in lines) for kind in KINDS])
    named = [path.partition("/")[0] for paths in head.paths for path in paths]
    contents = Contents(
        head.prev_seq,
        head.first_seq,
        head.last_seq,
        counts,
        collections_of(named),
        DidFilter.of(str(line["did"]) for line in lines),
        (),
    )
    return seal(
        b"".join([json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines]), contents, CODEC, 4
    )


@given(EVENTS, st.sampled_from(DIDS))
def test_of_the_firehose_slots_are_left(events: list[tuple[str, str, int]], did: str) -> None:
    batch = batch_of(events)
    block = seal_batch(batch, CODEC, 2)
    purged = purge_block(block, Stream.FIREHOSE, did, CODECS)
    if not any(owner == did and kind != "#account" for kind, owner, _ in events):
        assert purged is None
        return
    assert purged is not None
    facts, before = purged.facts, block.facts
    assert facts.generation == 3
    for name in ("prev_seq", "first_seq", "last_seq", "counts", "positions"):
        assert getattr(facts.contents, name) == getattr(before.contents, name)
    after = open_batch(purged, CODECS)
    assert after.head.positions == batch.head.positions
    rows = zip(after.split(), after.head.kinds, after.head.dids, after.head.paths, strict=True)
    for index, ((seq, frame), kind, owner, paths) in enumerate(rows):
        is_gone = batch.head.dids[index] == did and kind != "#account"
        was = batch.head.dids[index], batch.head.paths[index], list(batch.split())[index][1]
        assert (seq, kind) == (batch.head.seqs[index], batch.head.kinds[index])
        assert (owner, paths, frame) == (("", (), b"") if is_gone else was)
    is_named = ("#account", did) in [(kind, owner) for kind, owner, _ in events]
    assert facts.contents.did_filter is not None
    assert facts.contents.did_filter.may_contain(hash_did(did)) == is_named
    assert purge_block(purged, Stream.FIREHOSE, did, CODECS) is None, "nothing is left to purge"


@given(EVENTS, st.sampled_from(DIDS))
def test_of_jetstream_the_lines_are_gone(events: list[tuple[str, str, int]], did: str) -> None:
    block = lines_of(batch_of(events))
    before = unseal(block, CODECS).splitlines()
    kept = [line for line in before if json.loads(line)["did"] != did or json.loads(line)["kind"] == "account"]
    purged = purge_block(block, Stream.JETSTREAM, did, CODECS)
    if kept == before:
        assert purged is None
        return
    assert purged is not None
    assert unseal(purged, CODECS).splitlines() == kept
    facts = purged.facts
    assert facts.generation == 5
    assert sum(facts.contents.counts) == len(kept)
    assert facts.contents.did_filter == DidFilter.of(json.loads(line)["did"] for line in kept)
    collections = {json.loads(line)["commit"]["collection"] for line in kept if b'"commit":{' in line}
    assert facts.contents.collections == tuple(sorted(collections))
    assert purge_block(purged, Stream.JETSTREAM, did, CODECS) is None


def test_a_batch_of_the_log_keeps_what_it_says_of_accounts() -> None:
    batch = batch_of([("#commit", DIDS[0], 1), ("#commit", DIDS[1], 1)], accounts=bytes(96))
    purged = purge_batch(batch, DIDS[0])
    assert purged is not None
    assert purged.head.accounts == bytes(96)
    assert purged.size_bytes < batch.size_bytes
    assert purge_batch(purged, DIDS[0]) is None


@pytest.mark.parametrize("stream", Stream)
def test_a_damaged_block_is_named(stream: Stream) -> None:
    block = seal_batch(batch_of([("#commit", DIDS[0], 1)]), CODEC)
    damaged = SealedBlock(block.facts, block.packed[:-1] + bytes([block.packed[-1] ^ 1]))
    with pytest.raises(BlockError):
        purge_block(damaged, stream, DIDS[0], CODECS)


def test_the_lines_that_are_rendered_are_understood() -> None:
    """An account that writes, says who it is and goes, beside one that stays."""
    alice, bob = Repo(1), Repo(2)
    raws = [repo.write({"a.b.c/1": 'x"\n'}).frame(seq) for seq, repo in enumerate((alice, bob), 1)]
    raws += [frames.identity(3, alice.did, handle='"a'), frames.account(4, alice.did, active=False, status="deleted")]
    lines = [line for raw in raws for line in render(raw).lines]
    contents = Contents(0, 1, 4, (2, 0, 1, 1), ("a.b.c",), DidFilter.of(line.did for line in lines), ())
    block = seal(b"".join([line.json + b"\n" for line in lines]), contents, CODEC)
    purged = purge_block(block, Stream.JETSTREAM, alice.did, CODECS)
    assert purged is not None
    assert unseal(purged, CODECS).splitlines() == [lines[1].json, lines[3].json]
    assert purged.facts.contents.counts == (1, 0, 0, 1)


def test_a_container_is_whole_again() -> None:
    """Written as a stream, it is what the writer would have written."""
    blocks = [seal_batch(batch_of([("#commit", DIDS[0], 1), ("#commit", DIDS[1], 1)]), CODEC)]
    later = BatchBuilder(200)
    later.add(300, "#commit", DIDS[2], ("app.test.ofc/1",), b"frame")
    blocks.append(seal_batch(later.build((), b""), CODEC))
    before = ContainerWriter(Stream.FIREHOSE, 4)
    for block in blocks:
        before.add(block)
    first = purge_block(blocks[0], Stream.FIREHOSE, DIDS[0], CODECS)
    assert first is not None
    purged = purged_container(before.index(), [first.facts, blocks[1].facts])
    data = purged.start + first.packed + blocks[1].packed + purged.end
    assert len(data) == purged.size_bytes
    writer = ContainerWriter(Stream.FIREHOSE, 5)
    assert data == b"".join([writer.add(first), writer.add(blocks[1]), writer.finish()])


def test_a_line_of_others_is_named() -> None:
    contents = Contents(0, 1, 1, (1,), None, None, ())
    with pytest.raises(BlockError, match="none of ours"):
        purge_block(seal(b'{"kind":"commit"}\n', contents, CODEC), Stream.JETSTREAM, DIDS[0], CODECS)


def test_references_to_blobs_go_with_the_lines() -> None:
    [block] = blob_blocks(CODEC)
    purged = purge_block(block, Stream.BLOBS, "did:plc:a", CODECS)
    assert purged is not None
    assert [each.did for each in open_references(purged, CODECS)] == ["did:plc:b"]
    assert purge_block(purged, Stream.BLOBS, "did:plc:a", CODECS) is None
