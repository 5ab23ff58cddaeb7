"""The endpoints of blobs on the platform: asks RelayState and, if it must, the resolver."""

from __future__ import annotations

import json
from typing import Any

from pyodide.ffi import JsException

from edgerelay.api.blobs import (
    BlobAction,
    BlobProblem,
    BlobRequest,
    answer_blob_url,
    read_blob_request,
    redirect_to_host,
    refuse_blob,
)
from edgerelay.api.message import Request, Response
from edgerelay.api.query import Subject
from edgerelay.cloudflare.clock import make_clock
from edgerelay.cloudflare.log import JsonLog
from edgerelay.cloudflare.rate_limit import refuse_hasty
from edgerelay.cloudflare.resolutions import ResolverClient
from edgerelay.config import Settings
from edgerelay.runtime.blob_hosts import BlobHosts

__all__ = ["BlobEndpoints"]


class BlobEndpoints:
    """Answers one request."""

    def __init__(self, ctx: Any, limit: Any, relay: Any, settings: Settings) -> None:
        """`ctx` is the invocation's context, `limit` the rate limit of addresses, `relay` the stub of RelayState."""
        self._limit = limit
        self._relay = relay
        self._settings = settings
        self._log = JsonLog("worker", "error")
        resolver = ResolverClient(ctx, self._log)
        self._hosts = BlobHosts(self._hosting, resolver.ask, allow_local=settings.environment == "develop")

    async def answer(self, asked: Request) -> Response:
        """The answer to a request to one of `BLOB_PATHS`."""
        settings, now_us = self._settings, make_clock(self._settings)()
        wanted = read_blob_request(asked, settings.admin_token, settings.blob_url_secret, now_us)
        if not isinstance(wanted, BlobRequest):
            return wanted
        refusal = await refuse_hasty(self._limit, asked) if wanted.action is BlobAction.GET else None
        if refusal is not None:
            return refusal
        host = await self._host(asked, wanted.blob.did)
        if isinstance(host, BlobProblem):
            return refuse_blob(asked, host)
        if wanted.action is BlobAction.SIGN:
            return answer_blob_url(asked, wanted.blob, settings.blob_url_secret, now_us)
        return redirect_to_host(host, wanted.blob)

    async def _host(self, asked: Request, did: str) -> str | BlobProblem:
        try:
            return await self._hosts.find(did)
        except (JsException, OSError) as error:
            self._log.write("error", "relay_state", {"problem": str(error)[:500], "request": asked.id})
            return BlobProblem.RELAY_UNAVAILABLE

    async def _hosting(self, did: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self._relay.query(Subject.HOSTING, did))
        return found
