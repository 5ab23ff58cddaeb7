"""The index port over KV."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, Final, TypeVar

from pyodide.ffi import JsException

from edgerelay.cloudflare.plain_object import plain_object
from edgerelay.runtime.object_index import IndexPage, ObjectIndexError

__all__ = ["KvIndex"]

CALL_TIMEOUT_S: Final = 30.0
"""Seconds that a call may take: a row is small, and whoever waits for it has an hour's other rows to write."""

_MESSAGE_CHARS: Final = 200
_T = TypeVar("_T")


class KvIndex:
    """`runtime.object_index.ObjectIndex` on the platform: a row is a key without a value, its facts are metadata."""

    def __init__(self, binding: Any) -> None:
        """`binding` is the platform's own binding of the namespace."""
        self._binding = binding

    async def put(self, key: str, facts: Mapping[str, Any], expires_s: int) -> None:
        """Write a row."""
        await _settled(key, self._binding.put(key, "", plain_object({"expiration": expires_s, "metadata": facts})))

    async def delete(self, key: str) -> None:
        """Take a row away."""
        await _settled(key, self._binding.delete(key))

    async def rows(self, prefix: str, cursor: str = "") -> IndexPage:
        """Rows whose keys begin with `prefix`."""
        options = {"prefix": prefix, **({"cursor": cursor} if cursor else {})}
        answer: Any = await _settled(prefix, self._binding.list(plain_object(options)))
        found = answer.to_py()
        rows = {str(row["name"]): dict(row.get("metadata") or {}) for row in found["keys"]}
        return IndexPage(rows, "" if found["list_complete"] else str(found["cursor"]))


async def _settled(what: str, promise: Awaitable[_T]) -> _T:
    try:
        return await asyncio.wait_for(promise, CALL_TIMEOUT_S)
    except (JsException, OSError) as error:
        raise ObjectIndexError(f"{what}: {str(error)[:_MESSAGE_CHARS]}") from error
