"""Bringing a subscriber to a shard: the limits that hold for all shards, then the shards, one after the other.

A shard that refuses for want of room, or that does not answer in time, is passed over; one that refuses the client
itself is believed.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import js
from pyodide.ffi import JsException

from edgerelay.api.message import Request, Response, error_response
from edgerelay.api.places import places_of
from edgerelay.api.router import finish
from edgerelay.api.snapshot import Snapshot
from edgerelay.api.subscribe import parse_subscription
from edgerelay.api.subscription import Subscription
from edgerelay.api.tokens import refuse_unknown_subscriber
from edgerelay.cloudflare.clock import make_clock
from edgerelay.cloudflare.log import JsonLog
from edgerelay.cloudflare.plain_object import plain_object
from edgerelay.cloudflare.rate_limit import refuse_hasty
from edgerelay.cloudflare.requests import to_response
from edgerelay.cloudflare.snapshots import Snapshots
from edgerelay.config import Settings
from edgerelay.relay.cursor import Window
from edgerelay.relay.placement import Capacity, ShardName, kind_for, places_to_try
from edgerelay.relay.region import region_near

__all__ = ["Subscribing"]

_HOUR_US: Final = 3_600_000_000
_MINUTE_US: Final = 60_000_000

ANSWER_S: Final = 3.0
"""Seconds that a shard may take to let somebody in. It has nothing to do for that but to start."""

SILENT_MS: Final = 10_000
"""Milliseconds for which a shard that did not answer is tried last."""

_silent: dict[str, float] = {}
"""Until when; outlives a request, and holds no more names than there can be shards."""


class Subscribing:
    """The way of one subscriber to its shard."""

    def __init__(self, env: Any, settings: Settings, snapshots: Snapshots) -> None:
        self._env = env
        self._settings = settings
        self._snapshots = snapshots
        self._now_us = make_clock(settings)()
        self._capacity = Capacity(
            settings.shard_clients, settings.shard_deliveries_per_s, settings.shards_per_region, settings.shards_max
        )

    async def answer(self, asked: Request, request: Any) -> Any:
        """The shard's answer to the platform's `request`, or a refusal."""
        subscription = parse_subscription(asked)
        if not isinstance(subscription, Subscription):
            return to_response(finish(asked, subscription))
        refusal = await refuse_hasty(self._env.CONNECT_LIMIT, asked)
        refusal = refusal or refuse_unknown_subscriber(asked, self._settings.subscriber_tokens)
        if refusal is not None:
            return to_response(finish(asked, refusal))
        snapshot = await self._snapshots.last()
        if snapshot is not None and sum(each["clients"] for each in snapshot["shards"]) >= self._settings.clients_max:
            return to_response(finish(asked, _full(asked)))
        region = _region_of(request)
        has_answered = False
        for name in self._places(subscription, region, snapshot):
            answer = await self._try(name, asked, request)
            if answer is not None and answer.status != _NO_ROOM:
                return answer
            has_answered = has_answered or answer is not None
        return to_response(finish(asked, _full(asked) if has_answered else _unavailable(asked)))

    def _places(self, subscription: Subscription, region: str, snapshot: Snapshot | None) -> list[ShardName]:
        settings = self._settings
        window = Window(settings.default_replay_hours * _HOUR_US, settings.retention_days * 24 * _HOUR_US)
        start = subscription.start(window, last_seq=0, now_us=self._now_us)
        kind = kind_for(start, self._now_us, settings.deep_replay_minutes * _MINUTE_US)
        now_ms = js.Date.now()
        silent = {name for name, until_ms in _silent.items() if now_ms < until_ms}
        return places_to_try(places_of(snapshot) if snapshot else [], kind, region, self._capacity, silent)

    async def _try(self, name: ShardName, asked: Request, request: Any) -> Any | None:
        """What a shard answers; None if it does not."""
        forwarded = js.Request.new(request)
        forwarded.headers.set("x-shard", str(name))
        forwarded.headers.set("x-edgerelay-request", asked.id)
        hint = plain_object({"locationHint": name.region} if name.region else {})
        given_up = js.AbortController.new()
        try:
            shard = self._env.SUBSCRIBER_SHARD._binding.getByName(str(name), hint)
            answer = shard.fetch(forwarded, plain_object({"signal": given_up.signal}))
            return await asyncio.wait_for(answer, ANSWER_S)
        except (JsException, OSError, TimeoutError) as error:
            given_up.abort()
            _silent[str(name)] = js.Date.now() + SILENT_MS
            problem = {"shard": str(name), "problem": str(error)[:200] or "no answer", "request": asked.id}
            JsonLog("worker", "error").write("error", "shard", problem)
            return None


_NO_ROOM: Final = 503
"""How a shard says that another one may have room."""


def _region_of(request: Any) -> str:
    told = getattr(request, "cf", None)
    return region_near(str(getattr(told, "continent", "")), str(getattr(told, "longitude", "")))


def _full(asked: Request) -> Response:
    return error_response(asked, 429, "RelayFull", "there is no room for another subscriber", {"retry-after": "30"})


def _unavailable(asked: Request) -> Response:
    return error_response(asked, 503, "ShardUnavailable", "try again", {"retry-after": "5"})
