"""The entrypoint Resolver: stateless, asked by RelayState, many invocations at once.

It is an invocation of its own, with its own share of simultaneous requests. It cannot be reached from outside: an
entrypoint other than the default one has no address.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from pyodide.ffi import JsException
from workers import WorkerEntrypoint

from edgerelay.atproto.lookup import PATIENCE_S
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

MODULE: Final = "edgerelay/cloudflare/web.mjs"
"""By its path below the folder of `main`."""

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
    """`Fetcher` on the platform, behind `web.mjs`."""

    async def fetch(
        self, url: str, timeout_s: int = PATIENCE_S, max_bytes: int = MAX_BODY_BYTES, accept: str = ACCEPT
    ) -> Fetched:
        """GET a URL."""
        try:
            answer = await _web().get(url, USER_AGENT, accept, timeout_s * 1_000, max_bytes)
        except (JsException, OSError) as error:
            is_timeout = getattr(error, "name", "") == _TIMEOUT
            raise FetchError("timeout" if is_timeout else f"network: {error}"[:_PROBLEM_CHARS]) from None
        retry_after_s = parse_retry_after(answer.retryAfter, answer.date)
        return Fetched(int(answer.status), answer.body.to_bytes(), retry_after_s, answer.contentType)


@cache
def _web() -> Any:
    """The module, imported when it is first asked for: that is possible only while an event is handled."""
    # Exists only in the runtime.
    from workers import import_from_javascript

    return import_from_javascript(MODULE)
