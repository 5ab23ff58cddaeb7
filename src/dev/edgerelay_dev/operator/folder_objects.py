"""A folder of `.ers` files as a bucket: copies of objects, under their own names or any others."""

from __future__ import annotations

from pathlib import Path

from edgerelay.runtime.objects import MAX_LISTED, ObjectMissingError, ObjectStoreError, Tail

__all__ = ["FolderObjects"]


class FolderObjects:
    """`ObjectReader` over the files below a folder; a name is the path from there, with slashes."""

    def __init__(self, folder: Path) -> None:
        """Raises `ObjectStoreError` if there is no such folder. Files that come later are not listed."""
        if not folder.is_dir():
            raise ObjectStoreError(f"{folder} is no folder")
        self._folder = folder
        self._names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.ers") if path.is_file())

    async def read(self, name: str, offset: int, length: int) -> bytes:
        """A part of an object."""
        try:
            with (self._folder / name).open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except FileNotFoundError:
            raise ObjectMissingError(name) from None
        except OSError as error:
            raise ObjectStoreError(f"{name}: {error}") from error

    async def read_tail(self, name: str, length: int) -> Tail:
        """The last bytes of an object."""
        try:
            size_bytes = (self._folder / name).stat().st_size
        except FileNotFoundError:
            raise ObjectMissingError(name) from None
        return Tail(await self.read(name, max(0, size_bytes - length), length), size_bytes)

    async def names(self, prefix: str, after: str = "", limit: int = MAX_LISTED) -> list[str]:
        """The first names that begin with `prefix` and sort behind `after`."""
        return [name for name in self._names if name.startswith(prefix) and name > after][:limit]
