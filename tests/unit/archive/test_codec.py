"""Codecs: one suite for all that can run here, inside Pyodide with the Worker's own brotli."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.codec import BROTLI, ZLIB, Codec, CodecError, ZlibCodec
from tests.packing import brotli_codec

CODECS: dict[int, Callable[[int], Codec]] = {BROTLI: brotli_codec, ZLIB: ZlibCodec}
TEXT = b'{"$type":"app.bsky.feed.like","createdAt":"2026-11-23T14:00:00.000Z"}\n' * 100
NOISE = random.Random(1).randbytes(100_000)


@pytest.fixture(params=CODECS, ids=["brotli", "zlib"])
def codec(request: pytest.FixtureRequest) -> Codec:
    return CODECS[request.param](5)


def test_each_has_the_number_that_stands_in_archives() -> None:
    assert {number: make(5).id for number, make in CODECS.items()} == {1: 1, 2: 2}


@pytest.mark.parametrize("raw", [b"", b"a", TEXT, NOISE, bytes(1_000_000)], ids=len)
def test_what_was_packed_comes_back(codec: Codec, raw: bytes) -> None:
    assert codec.decompress(codec.compress(raw), len(raw)) == raw


@pytest.mark.parametrize("number", CODECS)
@given(raw=st.binary(max_size=300))
def test_any_bytes_come_back(number: int, raw: bytes) -> None:
    codec = CODECS[number](5)
    assert codec.decompress(codec.compress(raw), len(raw)) == raw


def test_text_becomes_small_and_noise_hardly_grows(codec: Codec) -> None:
    assert len(codec.compress(TEXT)) < len(TEXT) / 10
    assert len(codec.compress(NOISE)) < len(NOISE) + 100


def test_the_same_bytes_give_the_same_result(codec: Codec) -> None:
    assert codec.compress(TEXT) == codec.compress(TEXT)


@pytest.mark.parametrize("number", CODECS)
def test_quality_is_a_choice_and_does_not_matter_to_the_reader(number: int) -> None:
    poor, good = CODECS[number](1), CODECS[number](9)
    raw = b"".join([b'{"text":"%d","createdAt":"2026-11-23T14:%06d"}' % (at, at * at % 9_973) for at in range(500)])
    poorly, well = poor.compress(raw), good.compress(raw)
    assert len(well) < len(poorly) < len(raw)
    assert good.decompress(poorly, len(raw)) == poor.decompress(well, len(raw)) == raw


@pytest.mark.parametrize("raw", [b"a", TEXT, NOISE], ids=len)
def test_another_length_is_refused(codec: Codec, raw: bytes) -> None:
    packed = codec.compress(raw)
    for length in (0, len(raw) - 1, len(raw) + 1, 2 * len(raw)):
        with pytest.raises(CodecError):
            codec.decompress(packed, length)


@pytest.mark.parametrize("raw", [b"", b"a", TEXT, NOISE], ids=len)
def test_what_is_cut_short_is_refused(codec: Codec, raw: bytes) -> None:
    packed = codec.compress(raw)
    for end in {0, len(packed) // 2, len(packed) - 1}:
        with pytest.raises(CodecError):
            codec.decompress(packed[:end], len(raw))


def test_what_would_become_far_larger_is_refused_at_once(codec: Codec) -> None:
    """A gigabyte would be noticed here: it takes seconds, and more memory than the Worker has."""
    packed = codec.compress(bytes(64_000_000))
    assert len(packed) < 100_000
    for length in (0, 1, 1_000):
        with pytest.raises(CodecError):
            codec.decompress(packed, length)


@pytest.mark.parametrize("number", CODECS)
@given(packed=st.binary(max_size=200), length=st.integers(0, 1_000))
def test_any_bytes_are_unpacked_or_refused(number: int, packed: bytes, length: int) -> None:
    try:
        raw = CODECS[number](5).decompress(packed, length)
    except CodecError:
        return
    assert len(raw) == length


@pytest.mark.parametrize("number", CODECS)
@given(at=st.integers(0, 10**6), value=st.integers(1, 255))
def test_changed_bytes_are_unpacked_or_refused(number: int, at: int, value: int) -> None:
    codec = CODECS[number](5)
    packed = bytearray(codec.compress(TEXT))
    packed[at % len(packed)] ^= value
    try:
        raw = codec.decompress(bytes(packed), len(TEXT))
    except CodecError:
        return
    assert len(raw) == len(TEXT)


def test_a_codec_does_not_take_what_another_has_packed() -> None:
    with pytest.raises(CodecError):
        brotli_codec().decompress(ZlibCodec().compress(TEXT), len(TEXT))
    with pytest.raises(CodecError):
        ZlibCodec().decompress(brotli_codec().compress(TEXT), len(TEXT))
