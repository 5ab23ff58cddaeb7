"""The object port over R2."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import js
from pyodide.ffi import JsException, to_js

from edgerelay.cloudflare.answers import within
from edgerelay.cloudflare.plain_object import plain_object
from edgerelay.runtime.objects import MAX_LISTED, ObjectMissingError, ObjectStoreError, Tail

__all__ = ["Bucket"]

CALL_TIMEOUT_S: Final = 30
"""Seconds that the bucket may take for one call, of a few megabytes at most: one that never ends would end the archive
in silence."""

_MESSAGE_CHARS: Final = 200


class Bucket:
    """`runtime.objects.ObjectStore` on the platform."""

    def __init__(self, binding: Any) -> None:
        """`binding` is the platform's own binding of the bucket."""
        self._binding = binding

    async def put(self, name: str, data: bytes) -> bool:
        """Store an object unless there is one of this name."""
        options = plain_object({"onlyIf": {"etagDoesNotMatch": "*"}})
        return _is_there(await _settled(name, self._binding.put(name, to_js(data), options)))

    async def stream(self, name: str, size_bytes: int, parts: AsyncIterator[bytes]) -> bool:
        """The same for an object that is too large to be held."""
        pipe = js.FixedLengthStream.new(size_bytes)
        options = plain_object({"onlyIf": {"etagDoesNotMatch": "*"}})
        putting = asyncio.ensure_future(self._binding.put(name, pipe.readable, options))
        writer = pipe.writable.getWriter()
        writing = asyncio.ensure_future(_write(name, writer, parts))
        # The bucket may answer before it has everything: it refuses, or has such an object.
        await asyncio.wait((putting, writing), return_when=asyncio.FIRST_COMPLETED)
        if not writing.done():
            writing.cancel()
        elif writing.exception() is not None:
            writer.abort("given up").catch(js.Function.new())
            putting.cancel()
            await writing
        return _is_there(await _settled(name, putting))

    async def replace(self, name: str, data: bytes) -> None:
        """Store an object, whether there is one of this name or not."""
        await _settled(name, self._binding.put(name, to_js(data)))

    async def read(self, name: str, offset: int, length: int) -> bytes:
        """A part of an object."""
        return (await self._get(name, {"offset": offset, "length": length})).data

    async def read_tail(self, name: str, length: int) -> Tail:
        """The last bytes of an object."""
        return await self._get(name, {"suffix": length})

    async def names(self, prefix: str, after: str = "", limit: int = MAX_LISTED) -> list[str]:
        """The first names that begin with `prefix` and sort behind `after`."""
        options: dict[str, Any] = {"prefix": prefix, "limit": limit}
        if after:
            options["startAfter"] = after
        answer = await _settled(prefix, self._binding.list(plain_object(options)))
        return [str(each.key) for each in answer.objects]

    async def delete(self, names: Sequence[str]) -> None:
        """Take away objects."""
        await _settled(f"{len(names)} objects", self._binding.delete(to_js(list(names))))

    async def _get(self, name: str, part: dict[str, int]) -> Tail:
        found = await _settled(name, self._binding.get(name, plain_object({"range": part})))
        if not _is_there(found):
            raise ObjectMissingError(name)
        return Tail((await _settled(name, found.arrayBuffer())).to_bytes(), int(found.size))


def _is_there(answer: Any) -> bool:
    """The platform's null is no None of Python, and in Python an object of size 0 would be false."""
    return bool(js.Boolean(answer))


async def _write(name: str, writer: Any, parts: AsyncIterator[bytes]) -> None:
    """Each part when there is room for it."""
    async for part in parts:
        await _settled(name, writer.write(to_js(part)))
    await _settled(name, writer.close())


async def _settled(name: str, promise: Any) -> Any:
    """The answer, in time."""
    try:
        return await within(CALL_TIMEOUT_S, promise)
    except (JsException, OSError) as error:
        raise ObjectStoreError(f"{name}: {str(error)[:_MESSAGE_CHARS]}") from error
