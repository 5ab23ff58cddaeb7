"""The entrypoint Resolver: stateless, asked by RelayState, many invocations at once.

It is an invocation of its own, with its own share of simultaneous requests. It cannot be reached from outside: an
entrypoint other than the default one has no address.
"""

from __future__ import annotations

from typing import Any, Final

import js
from pyodide.ffi import JsException
from workers import WorkerEntrypoint

from edgerelay.atproto.lookup import PATIENCE_S
from edgerelay.cloudflare.plain_object import plain_object
from edgerelay.cloudflare.requests import read_header
from edgerelay.cloudflare.settings import read_settings
from edgerelay.runtime import resolver
from edgerelay.runtime.fetcher import (
    ACCEPT,
    MAX_BODY_BYTES,
    USER_AGENT,
    Fetched,
    FetchError,
    parse_retry_after,
)
from edgerelay.runtime.resolver_wire import decode_questions, encode_answers

__all__ = ["PlatformFetcher", "Resolver"]

_TIMEOUT: Final = "TimeoutError"
_PROBLEM_CHARS: Final = 200


class Resolver(WorkerEntrypoint):
    """Answers batches of questions."""

    async def resolve(self, text: str) -> str:
        """Answer the questions of one message with one message.

        Raises:
            ResolverWireError: the message is not understood.
        """
        settings = read_settings(self.env)
        allow_local = settings.environment == "develop"
        asking = resolver.Resolver(PlatformFetcher(), settings.plc_url, allow_local=allow_local)
        return encode_answers(await asking.resolve(decode_questions(text)))


class PlatformFetcher:
    """`Fetcher` on the platform."""

    async def fetch(self, url: str, timeout_s: int = PATIENCE_S) -> Fetched:
        """GET a URL."""
        options = {
            "headers": {"user-agent": USER_AGENT, "accept": ACCEPT},
            "redirect": "manual",
            # A key that was rotated a second ago must be seen; how long answers are kept is decided elsewhere.
            "cache": "no-store",
            "signal": js.AbortSignal.timeout(timeout_s * 1_000),
        }
        try:
            answer = await js.fetch(url, plain_object(options))
            body = await _read(answer.body) if answer.body else b""
        except (JsException, OSError) as error:
            is_timeout = getattr(error, "name", "") == _TIMEOUT
            raise FetchError("timeout" if is_timeout else f"network: {error}"[:_PROBLEM_CHARS]) from None
        retry_after_s = parse_retry_after(read_header(answer, "retry-after"), read_header(answer, "date"))
        return Fetched(int(answer.status), body, retry_after_s)


async def _read(stream: Any) -> bytes:
    """Read as much as anybody wants, and let go of the rest."""
    reader = stream.getReader()
    body = b""
    while len(body) < MAX_BODY_BYTES:
        chunk = await reader.read()
        if chunk.done:
            return body
        body += chunk.value.to_bytes()
    await reader.cancel()
    return body[:MAX_BODY_BYTES]
