"""Filters of CIDs: the beginning of the digest is the hash."""

from __future__ import annotations

from edgerelay.archive.cid_filter import CidFilter, hash_cid
from edgerelay.atproto.cid import cid_for_cbor, cid_for_raw


def test_golden_bytes() -> None:
    assert CidFilter.of([cid_for_raw(b"b"), cid_for_raw(b"a"), cid_for_raw(b"b")]).hashes.hex() == "3e23e816ca978112"


def test_the_codec_makes_no_difference() -> None:
    assert hash_cid(cid_for_raw(b"a")) == hash_cid(cid_for_cbor(b"a"))


def test_what_is_there_is_found() -> None:
    found = CidFilter.of([cid_for_raw(b"a")])
    assert found.may_contain(hash_cid(cid_for_raw(b"a")))
    assert not found.may_contain(hash_cid(cid_for_raw(b"b")))
    assert not CidFilter.of([]).may_contain(hash_cid(cid_for_raw(b"a")))
