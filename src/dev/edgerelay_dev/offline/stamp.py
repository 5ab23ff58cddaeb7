"""Whether something that was made is still what its inputs would make: a file with their hash beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["stale"]


@contextmanager
def stale(stamp: Path, product: Path, *inputs: bytes) -> Iterator[bool]:
    """Tell whether `product` is missing or was made from other inputs; the body makes it, then the stamp is written.

    A body that raises leaves the product stale.
    """
    digests = [hashlib.sha256(each).digest() for each in inputs]
    key = hashlib.sha256(b"".join(digests)).hexdigest()
    is_stale = not (product.exists() and stamp.exists() and stamp.read_text() == key)
    if is_stale:
        stamp.unlink(missing_ok=True)
    yield is_stale
    if is_stale:
        stamp.write_text(key)
