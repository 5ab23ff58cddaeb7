"""CIDs. Spec: atproto data model, "Link and CID Formats"; DASL CIDs."""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha256
from pathlib import Path

import pytest
from cbor2 import CBORTag
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.cid import (
    CID_BYTES,
    Cid,
    cid_for_cbor,
    cid_for_raw,
    cid_from_link,
    cid_from_text,
    cid_to_link,
    cid_to_text,
    is_cbor_cid,
    parse_cid,
)
from edgerelay.errors import WireError
from tests.vectors import lines

EMPTY_MAP = cid_for_cbor(b"\xa0")
EMPTY_MAP_TEXT = "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"


def test_cid_of_a_block_is_prefix_and_digest() -> None:
    assert cid_for_cbor(b"\xa0") == bytes.fromhex("01711220") + sha256(b"\xa0").digest()
    assert cid_for_raw(b"\xa0") == bytes.fromhex("01551220") + sha256(b"\xa0").digest()
    assert is_cbor_cid(EMPTY_MAP)
    assert not is_cbor_cid(cid_for_raw(b"\xa0"))


def test_text_is_the_published_form() -> None:
    assert cid_to_text(EMPTY_MAP) == EMPTY_MAP_TEXT
    assert cid_from_text(EMPTY_MAP_TEXT) == EMPTY_MAP


@given(st.binary(max_size=40))
def test_every_form_leads_back(data: bytes) -> None:
    for cid in (cid_for_cbor(data), cid_for_raw(data)):
        assert parse_cid(cid) == cid
        assert cid_from_text(cid_to_text(cid)) == cid
        assert cid_from_link(cid_to_link(cid)) == cid


@given(st.binary(min_size=32, max_size=32))
def test_text_is_base32_without_padding(digest: bytes) -> None:
    for prefix in (b"\x01\x71\x12\x20", b"\x01\x55\x12\x20"):
        assert cid_to_text(Cid(prefix + digest)) == "b" + b32encode(prefix + digest).decode().rstrip("=").lower()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        EMPTY_MAP[:-1],
        EMPTY_MAP + b"\0",
        b"\0" + EMPTY_MAP,
        b"\x01\x70" + EMPTY_MAP[2:],  # dag-pb
        b"\x01\x71\x1e" + EMPTY_MAP[3:],  # BLAKE3
        b"\x00" + EMPTY_MAP[1:],
        b"\x12\x20" + EMPTY_MAP[4:],  # version 0
    ],
)
def test_parse_refuses_other_versions_codecs_hashes_and_lengths(data: bytes) -> None:
    with pytest.raises(WireError):
        parse_cid(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        EMPTY_MAP_TEXT[:-1],
        EMPTY_MAP_TEXT + "a",
        EMPTY_MAP_TEXT.upper(),
        EMPTY_MAP_TEXT[:-1] + "b",  # bits that no byte holds
        EMPTY_MAP_TEXT[:-1] + "1",
        EMPTY_MAP_TEXT[:-1] + "é",
        "z" + EMPTY_MAP_TEXT[1:],
        EMPTY_MAP_TEXT[:9] + "=" + EMPTY_MAP_TEXT[10:],
    ],
)
def test_text_refuses_every_other_spelling(text: str) -> None:
    with pytest.raises(WireError):
        cid_from_text(text)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz234567", min_size=58, max_size=58))
def test_text_has_one_spelling(tail: str) -> None:
    try:
        cid = cid_from_text("b" + tail)
    except WireError:
        return
    assert cid_to_text(cid) == "b" + tail


@pytest.mark.parametrize(
    "link",
    [
        None,
        EMPTY_MAP,
        CBORTag(43, b"\0" + EMPTY_MAP),
        CBORTag(42, EMPTY_MAP),
        CBORTag(42, "text"),
        CBORTag(42, b"\x01" + EMPTY_MAP),
        CBORTag(42, b"\0" + EMPTY_MAP[:-1]),
    ],
)
def test_link_refuses_what_is_not_tag_42_over_a_cid(link: object) -> None:
    with pytest.raises(WireError):
        cid_from_link(link)


def test_interop_syntax_of_other_cids_is_refused(shared_data: Path) -> None:
    folder = shared_data / "vectors/atproto-interop-tests/syntax"
    # All of the published "valid" ones are CIDs in general, and none of the form that the protocol blesses.
    texts = lines(folder / "cid_syntax_valid.txt") + lines(folder / "cid_syntax_invalid.txt")
    assert len(texts) > 10
    for text in texts:
        with pytest.raises(WireError):
            cid_from_text(text)


def test_cid_is_bytes_and_nothing_more() -> None:
    assert type(EMPTY_MAP) is bytes
    assert len(Cid(EMPTY_MAP)) == CID_BYTES
