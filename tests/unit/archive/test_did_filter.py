"""Filters of DIDs: never wrong about what is there, hardly ever about what is not, and they unite."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.did_filter import DidFilter, hash_did

dids = st.sets(st.text(max_size=20), max_size=30)


def hashes_of(some: set[str]) -> set[bytes]:
    return set(map(hash_did, some))


def test_golden_bytes() -> None:
    assert DidFilter.of(["did:plc:b", "did:plc:a", "did:plc:b"]).hashes.hex() == "4e3b19439fe10d34"
    assert sha256(b"did:plc:a").hexdigest()[:8] in ("4e3b1943", "9fe10d34")


@given(dids, dids)
def test_what_is_there_is_found(inside: set[str], others: set[str]) -> None:
    did_filter = DidFilter.of(inside)
    hashes = hashes_of(inside)
    assert all(did_filter.may_contain(hash_did(did)) for did in inside)
    assert [did_filter.may_contain(hash_did(did)) for did in others] == [hash_did(did) in hashes for did in others]
    assert did_filter.may_contain_any({hash_did(did) for did in others}) == (
        not hashes.isdisjoint(map(hash_did, others))
    )
    assert did_filter.is_well_formed()
    assert did_filter.hash_count == len(hashes)


@given(st.lists(dids, max_size=4))
def test_a_union_is_the_filter_of_all_their_dids(parts: list[set[str]]) -> None:
    assert DidFilter.union(map(DidFilter.of, parts)) == DidFilter.of(set().union(*parts))


@pytest.mark.parametrize("size", [80, 40_000])
def test_others_are_hardly_ever_taken_for_there(size: int) -> None:
    did_filter = DidFilter.of(f"did:plc:{number}" for number in range(size))
    strangers = 20_000
    mistaken = sum(did_filter.may_contain(hash_did(f"did:web:{number}")) for number in range(strangers))
    assert mistaken <= strangers // 1_000, "a promise of 1 %; 32 bits give a thousandth of it"
    assert did_filter.hash_count >= size - 5
    assert len(did_filter.hashes) * 8 >= 10 * did_filter.hash_count


def test_nobody_is_in_an_empty_one() -> None:
    assert DidFilter.of([]) == DidFilter.union([]) == DidFilter(b"")
    assert DidFilter(b"").is_well_formed()
    assert not DidFilter(b"").may_contain(hash_did("did:plc:a"))
