"""The endpoints of blobs on the platform: asks RelayState and, if it must, the resolver and the account's host."""

from __future__ import annotations

import json
from typing import Any

import js
from pyodide.ffi import JsException

from edgerelay.api.blobs import (
    BlobAction,
    BlobName,
    BlobProblem,
    BlobRequest,
    answer_blob,
    answer_blob_url,
    cached_url,
    read_blob_request,
    redirect_to_host,
    refuse_blob,
)
from edgerelay.api.message import Request, Response
from edgerelay.api.query import Subject
from edgerelay.api.router import finish
from edgerelay.cloudflare.blob_cache import BlobCache
from edgerelay.cloudflare.clock import make_clock
from edgerelay.cloudflare.log import JsonLog
from edgerelay.cloudflare.rate_limit import refuse_hasty
from edgerelay.cloudflare.requests import to_response
from edgerelay.cloudflare.resolutions import ResolverClient
from edgerelay.cloudflare.resolver import PlatformFetcher
from edgerelay.config import Settings
from edgerelay.runtime.blob_hosts import BlobHosts
from edgerelay.runtime.blob_reader import BlobReader

__all__ = ["BlobEndpoints"]

_readers: list[BlobReader] = []


def _shared_reader(settings: Settings) -> BlobReader:
    """The one reader of this isolate."""
    if not _readers:
        _readers.append(BlobReader(PlatformFetcher(), settings.blob_max_bytes))
    return _readers[0]


class BlobEndpoints:
    """Answers one request."""

    def __init__(self, ctx: Any, limit: Any, relay: Any, settings: Settings) -> None:
        """`ctx` is the invocation's context, `limit` the rate limit of addresses, `relay` the stub of RelayState."""
        self._limit = limit
        self._relay = relay
        self._settings = settings
        self._log = JsonLog("worker", "error")
        self._cache = BlobCache(self._log)
        resolver = ResolverClient(ctx, self._log)
        self._hosts = BlobHosts(self._hosting, resolver.ask, allow_local=settings.environment == "develop")

    async def answer(self, asked: Request) -> Any:
        """The platform's answer to a request to one of `BLOB_PATHS`."""
        settings, now_us = self._settings, make_clock(self._settings)()
        wanted = read_blob_request(asked, settings.admin_token, settings.blob_url_secret, now_us)
        if not isinstance(wanted, BlobRequest):
            return _respond(asked, wanted)
        refusal = await refuse_hasty(self._limit, asked) if wanted.action is BlobAction.GET else None
        if refusal is not None:
            return _respond(asked, refusal)
        host = await self._host(asked, wanted.blob.did)
        if isinstance(host, BlobProblem):
            return _respond(asked, refuse_blob(asked, host))
        if wanted.action is BlobAction.SIGN:
            return _respond(asked, answer_blob_url(asked, wanted.blob, settings.blob_url_secret, now_us))
        if settings.blob_cache == "off":
            return _respond(asked, redirect_to_host(host, wanted.blob))
        return await self._pass_on(asked, host, wanted.blob, now_us)

    async def _pass_on(self, asked: Request, host: str, blob: BlobName, now_us: int) -> Any:
        """The blob itself, from the cache or from the host."""
        url = cached_url(asked, blob)
        kept = await self._cache.find(url)
        if kept is not None:
            answer = js.Response.new(None if asked.method == "HEAD" else kept.body, kept)
            answer.headers.set("x-request-id", asked.id)
            return answer
        found = await _shared_reader(self._settings).read(host, blob, now_us)
        if isinstance(found, BlobProblem):
            return _respond(asked, refuse_blob(asked, found))
        answer = _respond(asked, answer_blob(found.mime_type, found.data))
        if asked.method == "GET":
            await self._cache.keep(url, answer)
        return answer

    async def _host(self, asked: Request, did: str) -> str | BlobProblem:
        try:
            return await self._hosts.find(did)
        except (JsException, OSError) as error:
            self._log.write("error", "relay_state", {"problem": str(error)[:500], "request": asked.id})
            return BlobProblem.RELAY_UNAVAILABLE

    async def _hosting(self, did: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self._relay.query(Subject.HOSTING, did))
        return found


def _respond(asked: Request, response: Response) -> Any:
    return to_response(finish(asked, response))
