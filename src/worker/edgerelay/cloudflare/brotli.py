"""Brotli in the Worker: the platform's own, behind `brotli.mjs`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from pyodide.ffi import JsException, to_js

from edgerelay.archive.codec import BROTLI, DEFAULT_QUALITY, CodecError
from edgerelay.errors import InvariantError

__all__ = ["BrotliCodec"]

MODULE: Final = "edgerelay/cloudflare/brotli.mjs"
"""By its path below the folder of `main`."""

SMALLEST_BUFFER_BYTES: Final = 65_536
"""The platform's limit is on the buffer that it grows while it unpacks, by a chunk and then by doubling: "Memory limit
exceeded", though everything would have fitted."""


class BrotliCodec:
    """`Codec` over the functions of a JavaScript module, which is imported when it is first asked for.

    An import is possible only while an event is handled. `load` gives the module where the runtime has no modules of
    ours.
    """

    id: Final = BROTLI

    def __init__(self, quality: int = DEFAULT_QUALITY, load: Callable[[], Any] | None = None) -> None:
        self._quality = quality
        self._module = cache(load or _import)

    def compress(self, raw: bytes) -> bytes:
        """Pack."""
        try:
            packed: bytes = self._module().compress(to_js(raw), self._quality).to_bytes()
        except JsException as error:
            raise InvariantError(f"brotli cannot pack {len(raw)} bytes: {error}") from error
        return packed

    def decompress(self, packed: bytes, raw_bytes: int) -> bytes:
        """Unpack what gives exactly `raw_bytes`."""
        module = self._module()  # if it cannot be had, the bytes are not to blame
        limit_bytes = 2 * raw_bytes + SMALLEST_BUFFER_BYTES
        try:
            raw: bytes = module.decompress(to_js(packed), limit_bytes).to_bytes()
        except JsException as error:
            raise CodecError(f"brotli: {error}") from error
        if len(raw) != raw_bytes:
            raise CodecError(f"brotli: {len(raw)} bytes came out, not {raw_bytes}")
        return raw


def _import() -> Any:
    # Exists only in the runtime.
    from workers import import_from_javascript

    return import_from_javascript(MODULE)
