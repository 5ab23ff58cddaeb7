"""Brotli on CPython; the contract itself is in tests/unit/archive/test_codec.py."""

from __future__ import annotations

import tracemalloc

import brotli
import pytest

from edgerelay.archive.codec import CodecError
from edgerelay_dev.brotli_codec import BrotliCodec


def test_it_writes_what_the_library_writes() -> None:
    assert BrotliCodec(4).compress(b"text" * 100) == brotli.compress(b"text" * 100, quality=4)


def test_a_bomb_takes_no_memory() -> None:
    bomb = BrotliCodec().compress(bytes(50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(CodecError, match="not 1000"):
            BrotliCodec().decompress(bomb, 1_000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
