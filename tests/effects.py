"""Coroutines that are led from effect to effect: each stops before every call of a port, and behind it once more.

There it can be sent on, told that the call failed, or killed; others may act meanwhile. A call that fails behind the
effect was carried out, and only its answer is lost. Coroutines that nobody leads do not stop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from typing import Any, TypeVar

from edgerelay.runtime.group_queue import GroupQueue, QueueError
from edgerelay.runtime.object_index import IndexPage, ObjectIndex, ObjectIndexError
from edgerelay.runtime.objects import MAX_LISTED, ObjectStore, ObjectStoreError, Tail

__all__ = ["Effects", "Led", "LedIndex", "LedObjects", "LedQueue"]

T = TypeVar("T")


class _Stop:
    """What a coroutine awaits where it stops."""

    def __init__(self, point: str, failure: type[Exception] | None) -> None:
        self.point = point
        self.failure = failure

    def __await__(self) -> Generator[_Stop, None, None]:
        yield self


class Led:
    """A coroutine on its way."""

    def __init__(self, effects: Effects, coroutine: Coroutine[Any, Any, object], begun_us: int = 0) -> None:
        self.begun_us = begun_us
        self._effects = effects
        self._coroutine = coroutine
        self._stop: _Stop | None = None
        self._advance(lambda: coroutine.send(None))

    @property
    def point(self) -> str:
        """Where it stands; empty if it has ended."""
        return self._stop.point if self._stop is not None else ""

    def go(self) -> None:
        """To the next stop, or to the end."""
        if self._stop is not None:
            self._advance(lambda: self._coroutine.send(None))

    def fail(self) -> None:
        """The call did not succeed, as the port says it. What is no call goes on."""
        failure = self._stop.failure if self._stop is not None else None
        if failure is None:
            self.go()
        else:
            self._advance(lambda: self._coroutine.throw(failure(f"{self.point} fails")))

    def go_to_end(self) -> None:
        while self._stop is not None:
            self.go()

    def kill(self) -> None:
        """It ends where it stands, and does nothing more."""
        self._coroutine.close()
        self._stop = None

    def _advance(self, resume: Callable[[], object]) -> None:
        self._effects.is_leading = True
        try:
            stop = resume()
        except StopIteration:
            self._stop = None
        else:
            assert isinstance(stop, _Stop)
            self._stop = stop
        finally:
            self._effects.is_leading = False


class Effects:
    """The stops of some ports."""

    def __init__(self) -> None:
        self.is_leading = False

    def lead(self, coroutine: Coroutine[Any, Any, object], begun_us: int = 0) -> Led:
        """Begin a coroutine; it goes to its first stop."""
        return Led(self, coroutine, begun_us)

    async def pause(self) -> None:
        """A stop where others may run."""
        await self._stop("pause", None)

    async def call(self, point: str, failure: type[Exception], make: Callable[[], Awaitable[T]]) -> T:
        """A call with its two stops."""
        await self._stop(point, failure)
        answer = await make()
        await self._stop(f"{point}, behind it", failure)
        return answer

    async def _stop(self, point: str, failure: type[Exception] | None) -> None:
        if self.is_leading:
            await _Stop(point, failure)


class LedObjects:
    """`ObjectStore` over another one. Points are named by the verb and the folder: `put groups`."""

    def __init__(self, effects: Effects, objects: ObjectStore) -> None:
        self._effects = effects
        self._objects = objects

    async def put(self, name: str, data: bytes) -> bool:
        return await self._call("put", name, lambda: self._objects.put(name, data))

    async def stream(self, name: str, size_bytes: int, parts: AsyncIterator[bytes]) -> bool:
        return await self._call("stream", name, lambda: self._objects.stream(name, size_bytes, parts))

    async def replace(self, name: str, data: bytes) -> None:
        await self._call("replace", name, lambda: self._objects.replace(name, data))

    async def read(self, name: str, offset: int, length: int) -> bytes:
        return await self._call("read", name, lambda: self._objects.read(name, offset, length))

    async def read_tail(self, name: str, length: int) -> Tail:
        return await self._call("open", name, lambda: self._objects.read_tail(name, length))

    async def names(self, prefix: str, after: str = "", limit: int = MAX_LISTED) -> list[str]:
        return await self._call("list", prefix, lambda: self._objects.names(prefix, after, limit))

    async def delete(self, names: Sequence[str]) -> None:
        """One after the other: not all at once."""
        for name in names:
            await self._call("delete", name, lambda name=name: self._objects.delete([name]))  # type: ignore[misc]

    async def _call(self, verb: str, name: str, make: Callable[[], Awaitable[T]]) -> T:
        return await self._effects.call(f"{verb} {name.partition('/')[0]}".rstrip(), ObjectStoreError, make)


class LedIndex:
    """`ObjectIndex` over another one."""

    def __init__(self, effects: Effects, index: ObjectIndex) -> None:
        self._effects = effects
        self._index = index

    async def put(self, key: str, facts: Mapping[str, Any], expires_s: int) -> None:
        await self._effects.call("write row", ObjectIndexError, lambda: self._index.put(key, facts, expires_s))

    async def delete(self, key: str) -> None:
        await self._effects.call("delete row", ObjectIndexError, lambda: self._index.delete(key))

    async def rows(self, prefix: str, cursor: str = "") -> IndexPage:
        return await self._effects.call("list rows", ObjectIndexError, lambda: self._index.rows(prefix, cursor))


class LedQueue:
    """`GroupQueue` over another one."""

    def __init__(self, effects: Effects, queue: GroupQueue) -> None:
        self._effects = effects
        self._queue = queue

    async def send(self, text: str) -> None:
        await self._effects.call("send message", QueueError, lambda: self._queue.send(text))
