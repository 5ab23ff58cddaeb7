"""Blocks of the firehose: a batch comes back, and its facts are what the batch says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.batch import Batch, BatchBuilder, decode_message
from edgerelay.archive.block import BlockError, SealedBlock, UpstreamPosition, seal
from edgerelay.archive.codec import DEFAULT_QUALITY
from edgerelay.archive.did_filter import DidFilter, hash_did
from edgerelay.archive.firehose_block import open_batch, seal_batch
from edgerelay.errors import InvariantError
from tests.packing import CODECS, PLAIN, a_batch, brotli_codec

BATCH = a_batch(100, ("did:plc:b", "did:plc:a"), [(1, 0, 7, ((9, 9),), 5, 0), (2, 3, 8, (), 0, 0)])
BLOCK = seal_batch(BATCH, PLAIN)


def test_the_facts_are_those_of_the_batch() -> None:
    contents = BLOCK.facts.contents
    assert (contents.prev_seq, contents.first_seq, contents.last_seq) == (100, 110, 125)
    assert contents.counts == (2, 0, 0, 1)
    assert contents.collections == ("app.bsky.feed.like", "app.bsky.feed.post")
    assert contents.did_filter == DidFilter.of(("did:plc:a", "did:plc:b"))
    assert contents.positions == (UpstreamPosition(1, 0, 7), UpstreamPosition(2, 3, 8))
    assert (BLOCK.facts.raw_bytes, BLOCK.facts.generation) == (len(BATCH.message()), 0)
    assert seal_batch(BATCH, PLAIN, 3).facts.generation == 3


def test_of_each_host_the_last_position_counts() -> None:
    batch = a_batch(0, ("did:plc:a",), [(1, 0, 7, (), 0, 0), (2, 0, 1, (), 0, 0), (1, 1, 3, (), 0, 0)])
    assert seal_batch(batch, PLAIN).facts.contents.positions == (UpstreamPosition(1, 1, 3), UpstreamPosition(2, 0, 1))


@pytest.mark.parametrize("quality", [1, DEFAULT_QUALITY])
def test_a_batch_comes_back(quality: int) -> None:
    assert open_batch(BLOCK, CODECS) == BATCH
    codec = brotli_codec(quality)
    assert open_batch(seal_batch(BATCH, codec), {codec.id: codec}) == BATCH


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["#commit", "#sync", "#identity", "#account"]),
            st.sampled_from(["did:plc:a", "did:plc:b", "did:web:c"]),
            st.lists(st.sampled_from(["a.b.c/1", "a.b.c/2", "d.e.f/1"]), max_size=2),
            st.binary(max_size=20),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_batch_comes_back(events: list[tuple[str, str, list[str], bytes]]) -> None:
    builder = BatchBuilder(7)
    for number, event in enumerate(events, 8):
        builder.add(number, *event)
    batch = builder.build([], b"")
    block = seal_batch(batch, PLAIN)
    contents = block.facts.contents
    assert open_batch(block, CODECS) == batch
    assert contents.event_count == len(events)
    assert set(contents.collections or ()) == {path.split("/")[0] for _, _, paths, _ in events for path in paths}
    assert contents.did_filter is not None
    assert all(contents.did_filter.may_contain(hash_did(did)) for _, did, _, _ in events)


def test_records_of_accounts_are_no_part_of_what_is_kept() -> None:
    with pytest.raises(InvariantError, match="6 bytes of accounts"):
        seal_batch(a_batch(0, ("did:plc:a",), accounts=b"record"), PLAIN)


class TestDamage:
    @pytest.mark.parametrize(
        "other",
        [
            a_batch(99, ("did:plc:b", "did:plc:a")),
            a_batch(100, ("did:plc:b",)),
            a_batch(100, ("did:plc:b", "did:plc:a", "did:plc:a")),
        ],
    )
    def test_another_batch_than_the_facts_say_is_refused(self, other: Batch) -> None:
        block = seal_batch(other, PLAIN)
        claimed = block._replace(facts=block.facts._replace(contents=BLOCK.facts.contents))
        with pytest.raises(BlockError, match="block 110 to 125: holds other events"):
            open_batch(claimed, CODECS)

    def test_what_is_no_batch_is_refused(self) -> None:
        for raw in (b"", b"text", BATCH.message()[:-1]):
            with pytest.raises(BlockError, match="block 110 to 125: a "):
                open_batch(seal(raw, BLOCK.facts.contents, PLAIN), CODECS)

    def test_a_batch_without_events_is_refused(self) -> None:
        head = bytes.fromhex("8a0100018040808080808040")
        with pytest.raises(BlockError):
            open_batch(seal(len(head).to_bytes(4, "big") + head, BLOCK.facts.contents, PLAIN), CODECS)

    @given(st.integers(0, len(BLOCK.packed) - 1), st.integers(1, 255))
    def test_each_changed_byte_is_found(self, at: int, value: int) -> None:
        packed = bytearray(BLOCK.packed)
        packed[at] ^= value
        with pytest.raises(BlockError):
            open_batch(SealedBlock(BLOCK.facts, bytes(packed)), CODECS)

    def test_the_batch_is_the_raw_content(self) -> None:
        assert decode_message(PLAIN.decompress(BLOCK.packed, BLOCK.facts.raw_bytes)) == BATCH
