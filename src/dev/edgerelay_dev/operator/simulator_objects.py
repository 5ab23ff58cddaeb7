"""The bucket of a local relay: what the R2 simulator of `wrangler dev` keeps in the folder of its state.

    v3/r2/<bucket>/blobs/<id>                     the bytes of objects, or of their parts
    v3/r2/miniflare-R2BucketObject/<hash>.sqlite  which blobs an object has; it is in WAL mode

Only ever read, also while the relay runs: the tables by a connection that cannot write, in statements of their own, so
that the relay waits for nobody. The layout is the simulator's own; if another version has another one, that is said.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from edgerelay.runtime.objects import MAX_LISTED, ObjectMissingError, ObjectStoreError, Tail

__all__ = ["SimulatorObjects"]

BUSY_S: Final = 5.0
"""How long the relay may hold the tables: it writes one row."""

_TABLE: Final = "SELECT 1 FROM sqlite_master WHERE name = '_mf_objects'"
_NAMES: Final = "SELECT key FROM _mf_objects WHERE substr(key, 1, length(?1)) = ?1 AND key > ?2 ORDER BY key LIMIT ?3"
_BLOBS: Final = """
    SELECT blob_id, size FROM _mf_objects WHERE key = ?1 AND blob_id IS NOT NULL
    UNION ALL
    SELECT * FROM (SELECT blob_id, size FROM _mf_multipart_parts WHERE object_key = ?1 ORDER BY part_number)
"""


class _Blob(NamedTuple):
    path: Path
    size_bytes: int


class SimulatorObjects:
    """`ObjectReader` over the folder of a local relay's state: a context manager."""

    def __init__(self, state_dir: Path) -> None:
        """Raises `ObjectStoreError` unless there is exactly one bucket."""
        folder = state_dir / "v3" / "r2"
        databases = [path for path in sorted(folder.glob("*/*.sqlite")) if _has_objects(path)]
        blobs = sorted(folder.glob("*/blobs"))
        if len(databases) != 1 or len(blobs) != 1:
            found = f"{len(databases)} databases and {len(blobs)} folders of blobs"
            raise ObjectStoreError(f"{state_dir} is no state of a relay that has archived something: {found}")
        self._blobs_folder = blobs[0]
        self._connection = _connect(databases[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    async def read(self, name: str, offset: int, length: int) -> bytes:
        """A part of an object."""
        return b"".join(_read_range(self._blobs(name), offset, offset + length))

    async def read_tail(self, name: str, length: int) -> Tail:
        """The last bytes of an object."""
        blobs = self._blobs(name)
        size_bytes = sum(blob.size_bytes for blob in blobs)
        return Tail(b"".join(_read_range(blobs, max(0, size_bytes - length), size_bytes)), size_bytes)

    async def names(self, prefix: str, after: str = "", limit: int = MAX_LISTED) -> list[str]:
        """The first names that begin with `prefix` and sort behind `after`."""
        return [str(name) for (name,) in self._query(_NAMES, prefix, after, limit)]

    def _blobs(self, name: str) -> list[_Blob]:
        blobs = [_Blob(self._blobs_folder / blob_id, size) for blob_id, size in self._query(_BLOBS, name)]
        if not blobs:
            raise ObjectMissingError(name)
        return blobs

    def _query(self, statement: str, *values: object) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise ObjectStoreError(f"the simulator's tables: {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
    except sqlite3.Error as error:
        raise ObjectStoreError(f"{path}: {error}") from error


def _has_objects(path: Path) -> bool:
    with closing(_connect(path)) as connection:
        try:
            return connection.execute(_TABLE).fetchone() is not None
        except sqlite3.Error as error:
            raise ObjectStoreError(f"{path}: {error}") from error


def _read_range(blobs: list[_Blob], first: int, end: int) -> Iterator[bytes]:
    start = 0
    for path, size_bytes in blobs:
        if start < end and first < start + size_bytes:
            skipped = max(0, first - start)
            try:
                with path.open("rb") as file:
                    file.seek(skipped)
                    yield file.read(end - start - skipped)
            except FileNotFoundError:
                raise ObjectMissingError(f"the blob {path.name}: it was taken away") from None
            except OSError as error:
                raise ObjectStoreError(f"{path}: {error}") from error
        start += size_bytes
