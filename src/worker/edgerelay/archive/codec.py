"""Codecs: how the bytes of a block are made small.

A port, because the platform compresses better and faster than anything that Python has everywhere. Its numbers stand in
archives, so that they are never given to something else:

    1  brotli (RFC 7932): what the relay writes
    2  zlib (RFC 1950): what Python has everywhere, for tests, rehearsals and tools; at quality 0 the bytes stay as
       they are

It does not know what the bytes mean, and checks nothing but that they come back.
"""

from __future__ import annotations

import zlib
from typing import Final, Protocol

from edgerelay.errors import InvariantError

__all__ = ["BROTLI", "DEFAULT_QUALITY", "ZLIB", "Codec", "CodecError", "ZlibCodec"]

BROTLI: Final = 1
ZLIB: Final = 2

DEFAULT_QUALITY: Final = 5
"""Of brotli, from 0 to 11: decision 0013 has the table."""


class CodecError(InvariantError):
    """Packed bytes are damaged, or do not give as many bytes as were packed."""


class Codec(Protocol):
    """Packs and unpacks. All implementations with one id read each other's bytes."""

    @property
    def id(self) -> int:
        """The number that stands in archives."""

    def compress(self, raw: bytes) -> bytes:
        """Pack; the same bytes give the same result every time."""

    def decompress(self, packed: bytes, raw_bytes: int) -> bytes:
        """Unpack what gives exactly `raw_bytes`; takes little more memory than that, whatever was packed.

        Bytes behind the end of what was packed may go unnoticed: not every library tells.

        Raises:
            CodecError: the bytes are damaged or cut short, or give fewer or more bytes.
        """


class ZlibCodec:
    """`Codec` over the standard library."""

    id: Final = ZLIB

    def __init__(self, quality: int = DEFAULT_QUALITY) -> None:
        self._quality = quality

    def compress(self, raw: bytes) -> bytes:
        """Pack."""
        return zlib.compress(raw, self._quality)

    def decompress(self, packed: bytes, raw_bytes: int) -> bytes:
        """Unpack what gives exactly `raw_bytes`."""
        unpacking = zlib.decompressobj()
        try:
            # One more than is right shows that there is more; 0 would mean without a limit.
            raw = unpacking.decompress(packed, raw_bytes + 1)
        except zlib.error as error:
            raise CodecError(f"zlib: {error}") from error
        if len(raw) != raw_bytes or not unpacking.eof:
            raise CodecError(f"zlib: {len(raw)} bytes came out, not {raw_bytes}, or the end is missing")
        return raw
