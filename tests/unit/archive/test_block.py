"""Blocks: bytes come back, damage is found, and facts that cannot be are never written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.block import (
    MAX_BLOCK_COLLECTIONS,
    MAX_COLLECTION_BYTES,
    MAX_EVENTS,
    MAX_GENERATION,
    MAX_KINDS,
    MAX_POSITIONS,
    MAX_RAW_BYTES,
    MAX_SEQ,
    BlockError,
    Contents,
    SealedBlock,
    UpstreamPosition,
    check_packed,
    collections_of,
    seal,
    unseal,
)
from edgerelay.archive.cid_filter import CidFilter
from edgerelay.archive.codec import BROTLI, ZLIB, ZlibCodec
from edgerelay.archive.did_filter import DidFilter
from edgerelay.errors import InvariantError
from tests.packing import CODECS, PLAIN, brotli_codec

CONTENTS = Contents(5, 6, 9, (2, 1), ("a.b.c", "a.b.d"), DidFilter.of(["did:plc:a"]), (UpstreamPosition(1, 0, 7),))
BLOCK = seal(b"three events" * 9, CONTENTS, ZlibCodec())


class TestSeal:
    @given(st.binary(max_size=300), st.integers(0, MAX_GENERATION))
    def test_what_was_sealed_comes_back(self, raw: bytes, generation: int) -> None:
        block = seal(raw, CONTENTS, PLAIN, generation)
        assert unseal(block, CODECS) == raw
        assert block.facts[:4] == (ZLIB, generation, len(raw), len(block.packed))
        assert block.facts.contents == CONTENTS

    def test_each_block_is_unpacked_by_its_own_codec(self) -> None:
        codecs = {ZLIB: PLAIN, BROTLI: brotli_codec()}
        block = seal(b"raw", CONTENTS, brotli_codec())
        assert (unseal(block, codecs), unseal(BLOCK, codecs)) == (b"raw", b"three events" * 9)
        with pytest.raises(BlockError, match="block 6 to 9: packed by codec 1, which is not at hand"):
            unseal(block, CODECS)

    @pytest.mark.parametrize(
        "fields",
        [
            {"prev_seq": -1},
            {"prev_seq": 6},
            {"last_seq": 5},
            {"last_seq": MAX_SEQ + 1},
            {"counts": (1, -1)},
            {"counts": (MAX_EVENTS, 1)},
            {"counts": (0,) * (MAX_KINDS + 1)},
            {"collections": ("b", "a")},
            {"collections": ("a", "a")},
            {"collections": tuple(f"{number:04}" for number in range(MAX_BLOCK_COLLECTIONS + 1))},
            {"did_filter": DidFilter(b"odd")},
            {"cid_filter": CidFilter(b"odd")},
            {"positions": (UpstreamPosition(1, -1, 0),)},
            {"positions": (UpstreamPosition(1, 0, MAX_SEQ + 1),)},
            {"positions": (UpstreamPosition(1, 0, 0),) * (MAX_POSITIONS + 1)},
        ],
        ids=str,
    )
    def test_contents_that_cannot_be_are_not_sealed(self, fields: dict[str, Any]) -> None:
        with pytest.raises(InvariantError, match="a block"):
            seal(b"", CONTENTS._replace(**fields), PLAIN)

    def test_a_block_has_bounds(self) -> None:
        seal(bytes(MAX_RAW_BYTES), CONTENTS, PLAIN)
        for raw, generation in ((bytes(MAX_RAW_BYTES + 1), 0), (b"", -1), (b"", MAX_GENERATION + 1)):
            with pytest.raises(InvariantError, match="a block of"):
                seal(raw, CONTENTS, PLAIN, generation)

    def test_nothing_need_be_known_of_accounts_and_collections(self) -> None:
        seal(b"", CONTENTS._replace(collections=None, did_filter=None, positions=(), counts=()), PLAIN)

    def test_events_of_all_kinds_are_counted(self) -> None:
        assert CONTENTS.event_count == 3


class TestDamage:
    @given(st.integers(0, len(BLOCK.packed) - 1), st.integers(1, 255))
    def test_each_changed_byte_is_found_without_unpacking(self, at: int, value: int) -> None:
        packed = bytearray(BLOCK.packed)
        packed[at] ^= value
        with pytest.raises(BlockError, match="block 6 to 9: the checksum does not match"):
            check_packed(SealedBlock(BLOCK.facts, bytes(packed)))
        with pytest.raises(BlockError, match="checksum"):
            unseal(SealedBlock(BLOCK.facts, bytes(packed)), CODECS)

    def test_other_lengths_are_found(self) -> None:
        for packed in (b"", BLOCK.packed[:-1], BLOCK.packed + b"\0"):
            with pytest.raises(BlockError, match=f"{len(packed)} packed bytes instead of {len(BLOCK.packed)}"):
                check_packed(SealedBlock(BLOCK.facts, packed))

    def test_other_raw_bytes_than_announced_are_found(self) -> None:
        for raw_bytes in (0, 107, 109):
            with pytest.raises(BlockError, match=f"not {raw_bytes}"):
                unseal(BLOCK._replace(facts=BLOCK.facts._replace(raw_bytes=raw_bytes)), CODECS)

    def test_what_is_whole_passes(self) -> None:
        check_packed(BLOCK)


class TestCollections:
    def test_they_are_named_once_and_in_order(self) -> None:
        assert collections_of(["b.c.d/1", "a.b.c/2", "b.c.d/3"]) == ("a.b.c", "b.c.d")
        assert collections_of([]) == ()

    def test_too_many_are_any(self) -> None:
        paths = [f"a.b.c{number}/1" for number in range(MAX_BLOCK_COLLECTIONS + 1)]
        assert len(collections_of(paths[1:]) or ()) == MAX_BLOCK_COLLECTIONS
        assert collections_of(paths) is None

    def test_one_that_is_too_long_is_any(self) -> None:
        assert collections_of(["é" * (MAX_COLLECTION_BYTES // 2) + "/1"]) is not None
        assert collections_of(["é" * (MAX_COLLECTION_BYTES // 2 + 1) + "/1"]) is None
