"""The entry Worker: stateless, many at once, in front of the objects.

Answers from a snapshot that it keeps for a moment, and brings subscribers to a shard.
"""

from __future__ import annotations

import json
from typing import Any

from pyodide.ffi import JsException
from workers import WorkerEntrypoint

from edgerelay.api.blob_index import BLOB_INDEX_PATH
from edgerelay.api.blobs import BLOB_PATHS
from edgerelay.api.message import Request, Response, error_response
from edgerelay.api.order import Action, Order, answer_order, find_action, parse_order
from edgerelay.api.query import Query, answer_query, find_query
from edgerelay.api.reindex import REINDEX_PATH, answer_reindex, read_reindex
from edgerelay.api.router import find_route, finish, preflight
from edgerelay.api.subscribe import STREAMS
from edgerelay.api.subscribe_events import DICTIONARY_PATH, answer_dictionary
from edgerelay.cloudflare.archive_keeper import REHEARSED, ArchiveKeeper
from edgerelay.cloudflare.blob_index import answer_blob_question
from edgerelay.cloudflare.blobs import BlobEndpoints
from edgerelay.cloudflare.log import JsonLog
from edgerelay.cloudflare.rate_limit import refuse_hasty
from edgerelay.cloudflare.relay_state import RELAY_NAME
from edgerelay.cloudflare.requests import to_request, to_response
from edgerelay.cloudflare.settings import read_settings
from edgerelay.cloudflare.snapshots import Snapshots
from edgerelay.cloudflare.subscriber_shard import SHARD_REHEARSALS
from edgerelay.cloudflare.subscribing import Subscribing
from edgerelay.cloudflare.zstd import read_dictionary
from edgerelay.config import Settings
from edgerelay.errors import InvariantError, SettingsError
from edgerelay.runtime.object_index import ObjectIndexError
from edgerelay.runtime.objects import ObjectStoreError

__all__ = ["Default"]


class Default(WorkerEntrypoint):
    """Requests from outside, and the platform's cron."""

    async def fetch(self, request: Any) -> Any:
        """Any request."""
        asked = to_request(request.js_object)
        try:
            settings = read_settings(self.env)
        except SettingsError as error:
            JsonLog("worker", "error").write("error", "settings", {"problem": str(error)})
            refusal = error_response(asked, 503, "SettingsError", str(error))
            return to_response(finish(asked, refusal))
        if asked.path in STREAMS and asked.method != "OPTIONS":
            return await Subscribing(self.env, settings, self._snapshots()).answer(asked, request.js_object)
        if asked.path.startswith("/rehearsal/") and settings.rehearsal == "on":
            return to_response(finish(asked, await self._rehearse(asked)))
        answer = preflight(asked) or await refuse_hasty(self.env.REQUEST_LIMIT, asked)
        if answer is None and asked.path in BLOB_PATHS:
            return await BlobEndpoints(self.ctx, self.env.BLOB_LIMIT, self._relay(), settings).answer(asked)
        if answer is None and asked.path == BLOB_INDEX_PATH:
            answer = await answer_blob_question(asked, self.env.ARCHIVE._binding, settings)
        if answer is None and asked.path == DICTIONARY_PATH:
            answer = answer_dictionary(asked, read_dictionary)
        if answer is None and asked.path == REINDEX_PATH:
            answer = await self._reindex(asked, settings)
        answer = answer or await self._obey(asked, request.js_object, settings.admin_token)
        answer = answer or await self._answer_query(asked, settings.admin_token)
        return to_response(finish(asked, answer or await self._answer(asked)))

    async def scheduled(self, *_: Any) -> None:
        """Every minute: wake RelayState, should its alarm be lost, and keep the archive."""
        await self._poke()
        figures = await ArchiveKeeper(self.env, read_settings(self.env)).keep()
        if figures is not None:
            await self._poke(figures.encode())

    async def _poke(self, figures: str = "") -> None:
        try:
            await self._relay().poke(figures)
        except (JsException, OSError) as error:
            JsonLog("worker", "error").write("error", "relay_state", {"problem": str(error)[:500]})

    async def queue(self, batch: Any, *_: Any) -> None:
        """Groups that RelayState has stored, or what was given up of them."""
        await ArchiveKeeper(self.env, read_settings(self.env)).consume(batch)

    def _relay(self) -> Any:
        return self.env.RELAY_STATE._binding.getByName(RELAY_NAME)

    def _snapshots(self) -> Snapshots:
        return Snapshots(self._relay())

    async def _obey(self, asked: Request, request: Any, admin_token: str) -> Response | None:
        """Carry out an order of the operator; None for whatever is none."""
        action = find_action(asked, admin_token)
        if not isinstance(action, Action):
            return action
        order = parse_order(asked, action, (await request.arrayBuffer()).to_bytes())
        if not isinstance(order, Order):
            return order
        try:
            done = json.loads(await self._relay().order(*order))
        except (JsException, OSError) as error:
            return self._relay_failed(asked, error)
        return answer_order(done)

    async def _reindex(self, asked: Request, settings: Settings) -> Response:
        after_hour = read_reindex(asked, settings.admin_token)
        if not isinstance(after_hour, int):
            return after_hour
        try:
            return answer_reindex(await ArchiveKeeper(self.env, settings).reindex(after_hour))
        except (ObjectIndexError, ObjectStoreError) as error:
            return error_response(asked, 503, "ArchiveUnavailable", str(error)[:200])

    async def _answer_query(self, asked: Request, admin_token: str) -> Response | None:
        """Endpoints that RelayState itself answers; None for all others."""
        query = find_query(asked, admin_token)
        if not isinstance(query, Query):
            return query
        try:
            found = json.loads(await self._relay().query(query.subject, query.name))
        except (JsException, OSError) as error:
            return self._relay_failed(asked, error)
        return answer_query(asked, query, found)

    async def _answer(self, asked: Request) -> Response:
        route = find_route(asked)
        if isinstance(route, Response):
            return route
        try:
            return route(await self._snapshots().present())
        except (JsException, OSError, InvariantError) as error:
            return self._relay_failed(asked, error)

    @staticmethod
    def _relay_failed(asked: Request, error: Exception) -> Response:
        JsonLog("worker", "error").write("error", "relay_state", {"problem": str(error)[:500], "request": asked.id})
        return error_response(asked, 503, "RelayStateUnavailable", str(error)[:200])

    async def _rehearse(self, asked: Request) -> Response:
        action, arguments = asked.path.removeprefix("/rehearsal/"), asked.parameters("argument") or [""]
        try:
            if action in REHEARSED:
                answer = await ArchiveKeeper(self.env, read_settings(self.env)).rehearse(action, arguments[0])
            elif action in SHARD_REHEARSALS:
                answer = await self.env.SUBSCRIBER_SHARD._binding.getByName(arguments[0]).rehearse(action)
            else:
                answer = await self._relay().rehearse(action, arguments[0])
        except JsException as error:  # the object ended, which may be what was asked for
            answer = str(error)[:200]
        return Response(200, str(answer).encode())
