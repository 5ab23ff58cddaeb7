"""Brotli on CPython: the port `Codec` over the package `brotli`.

The Worker has no such package; the tests of the port hold all implementations to the same answers.
"""

from __future__ import annotations

from typing import Final

import brotli

from edgerelay.archive.codec import BROTLI, DEFAULT_QUALITY, CodecError

__all__ = ["BrotliCodec"]


class BrotliCodec:
    """`edgerelay.archive.codec.Codec` without a platform."""

    id: Final = BROTLI

    def __init__(self, quality: int = DEFAULT_QUALITY) -> None:
        self._quality = quality

    def compress(self, raw: bytes) -> bytes:
        """Pack."""
        packed: bytes = brotli.compress(raw, quality=self._quality)
        return packed

    def decompress(self, packed: bytes, raw_bytes: int) -> bytes:
        """Unpack what gives exactly `raw_bytes`."""
        unpacking = brotli.Decompressor()
        try:
            # It stops at the end of a buffer of its own behind the limit: 32 KB too many at most.
            raw: bytes = unpacking.process(packed, output_buffer_limit=raw_bytes + 1)
        except brotli.error as error:
            raise CodecError(str(error)) from error
        if len(raw) != raw_bytes or not unpacking.is_finished():
            raise CodecError(f"brotli: {len(raw)} bytes came out, not {raw_bytes}, or the end is missing")
        return raw
