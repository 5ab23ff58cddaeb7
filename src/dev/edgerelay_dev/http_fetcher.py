"""The port to the web on CPython, for tools and tests; the relay has its own on the platform."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar

from edgerelay.atproto.lookup import PATIENCE_S
from edgerelay.runtime.fetcher import (
    ACCEPT,
    MAX_BODY_BYTES,
    USER_AGENT,
    Fetched,
    FetchError,
    parse_retry_after,
)

__all__ = ["HttpFetcher"]


class HttpFetcher:
    """`Fetcher` with aiohttp: an asynchronous context manager, which keeps connections until it is left."""

    async def __aenter__(self) -> Self:
        self._session = ClientSession(headers={"User-Agent": USER_AGENT}, cookie_jar=DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def fetch(
        self, url: str, timeout_s: int = PATIENCE_S, max_bytes: int = MAX_BODY_BYTES, accept: str = ACCEPT
    ) -> Fetched:
        """GET a URL."""
        body = b""
        timeout = ClientTimeout(total=timeout_s)
        try:
            async with self._session.get(
                url, allow_redirects=False, timeout=timeout, headers={"Accept": accept}
            ) as answer:
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) >= max_bytes:
                        break
        except TimeoutError:
            raise FetchError("timeout") from None
        except (ClientError, OSError) as error:
            raise FetchError(f"network: {type(error).__name__}") from None
        headers = answer.headers
        retry_after_s = parse_retry_after(headers.get("Retry-After", ""), headers.get("Date", ""))
        return Fetched(answer.status, body[:max_bytes], retry_after_s, headers.get("Content-Type", ""))
