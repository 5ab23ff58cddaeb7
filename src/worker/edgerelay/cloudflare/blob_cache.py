"""The platform's cache, for answers with blobs."""

from __future__ import annotations

from typing import Any

import js
from pyodide.ffi import JsException

from edgerelay.cloudflare.log import JsonLog

__all__ = ["BlobCache"]


class BlobCache:
    """Keeps answers by their URL as long as they say. One that is out of order keeps nothing."""

    def __init__(self, log: JsonLog) -> None:
        self._log = log

    async def find(self, url: str) -> Any:
        """The platform's answer as it was kept, with its body as a stream; None if there is none."""
        try:
            found = await js.caches.default.match(url)
        except (JsException, OSError) as error:
            self._failed(error)
            return None
        return found if js.Boolean(found) else None

    async def keep(self, url: str, answer: Any) -> None:
        """Keep an answer of the platform, which is still there to be sent."""
        try:
            await js.caches.default.put(url, answer.js_object.clone())
        except (JsException, OSError) as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._log.write("error", "blob_cache", {"problem": str(error)[:200]})
