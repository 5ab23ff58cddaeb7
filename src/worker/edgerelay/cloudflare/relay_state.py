"""The Durable Object RelayState: a `runtime.node.Node` on the platform.

Three things bring it to life and keep it alive: the alarm, which re-arms itself before it does anything else; the cron,
which pokes it every minute; and calls of shards and of the entry Worker.
"""

from __future__ import annotations

import asyncio
import json
import random
import traceback
from typing import Any, Final

import js
from pyodide.ffi import create_once_callable
from workers import DurableObject

from edgerelay.api.order import Action, Order
from edgerelay.api.query import Subject
from edgerelay.archive.catalog import ArchiveFigures
from edgerelay.archive.hiding import encode_changes
from edgerelay.cloudflare.brotli import BrotliCodec
from edgerelay.cloudflare.bucket import Bucket
from edgerelay.cloudflare.buffers import Buffers
from edgerelay.cloudflare.clock import make_clock
from edgerelay.cloudflare.feed import FeedSockets
from edgerelay.cloudflare.group_queue import PlatformQueue
from edgerelay.cloudflare.isolate import end_object, isolate_name
from edgerelay.cloudflare.log import JsonLog
from edgerelay.cloudflare.resolutions import ResolverClient
from edgerelay.cloudflare.settings import read_settings
from edgerelay.cloudflare.signatures import make_checker
from edgerelay.cloudflare.sql import DurableSql
from edgerelay.cloudflare.tasks import Tasks
from edgerelay.cloudflare.timer import PlatformTimer
from edgerelay.cloudflare.upstream import UpstreamSockets
from edgerelay.cloudflare.vetting import Identities, Signatures
from edgerelay.errors import EdgeRelayError, InvariantError
from edgerelay.relay.events import Event, ShardAsked, TimePassed
from edgerelay.relay.vetting import LookupsDue, VettingEvent
from edgerelay.runtime.interpreter import Ports
from edgerelay.runtime.node import Node
from edgerelay.runtime.objects import LostObjects, ObjectStoreError
from edgerelay.runtime.orders import carry_out
from edgerelay.runtime.ports import Verifier
from edgerelay.runtime.reports import report
from edgerelay.runtime.resolver_wire import decode_questions, encode_answers
from edgerelay.runtime.snapshot import SnapshotTaker
from edgerelay.runtime.verification import HeldVerifier

__all__ = ["RELAY_NAME", "RelayState"]

RELAY_NAME: Final = "relay"
"""The one RelayState of a deployment."""

_S_US: Final = 1_000_000
_FORGOTTEN_BYTES: Final = 8
FLUSH_SAMPLES: Final = 500
"""Flush times that are kept for `/state` and the probe."""

BLOCK_PAUSE_S: Final = 0.02
"""Seconds between two blocks of a group. Packing one takes some 15 ms (decision 0013), in which nothing else goes on;
with this pause it is less than half of the time, and some 10 MB/s, four times the whole network."""

PURGE_PAUSE_S: Final = 1.1
"""Seconds between two steps of a purge, which is in no hurry."""

RECOVERY_RETRY_S: Final = 5
"""Seconds before a bucket that did not answer is asked again what it holds."""

FLUSH_SAMPLE_EVERY: Final = 10
"""Every so many flushes one is timed: the question itself costs a promise."""


class RelayState(DurableObject):
    """The one writer: subscribes, verifies, sequences, stores and feeds."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self._settings = read_settings(env)
        self._clock = make_clock(self._settings)
        raw = self._raw = ctx._ctx if hasattr(ctx, "_ctx") else ctx
        self._storage = raw.storage
        buffers = Buffers()
        self._sql = DurableSql(raw, buffers)
        self._log = JsonLog("relay", self._settings.log_level)
        self._refusal = ""
        self._flush_ms: list[float] = []
        self._flushes_seen = 0
        self._resolver = ResolverClient(ctx, self._log)
        self._objects = LostObjects(Bucket(env.ARCHIVE._binding))
        tasks = self._tasks = Tasks(self._broken)
        ports = Ports(
            upstream=UpstreamSockets(self._settings, tasks, self._deliver, self._clock),
            shards=FeedSockets(env.SUBSCRIBER_SHARD._binding, buffers, tasks, self._deliver),
            signatures=Signatures(make_checker(), tasks, self._deliver),
            identities=Identities(self._resolver, tasks, self._deliver),
            objects=self._objects,
            queue=PlatformQueue(env.GROUPS._binding),
            codec=BrotliCodec(),
            timer=PlatformTimer(lambda: self._deliver(TimePassed()), self._clock, self._broken),
            lookup_timer=PlatformTimer(lambda: self._deliver(LookupsDue()), self._clock, self._broken),
            log=self._log,
            clock=self._clock,
            random=random.random,
            intercept=self._hold,
        )
        self._held: HeldVerifier | None = None
        try:
            self._node = Node(self._settings, self._sql, ports)
        except EdgeRelayError as error:
            self._refusal = f"{type(error).__name__}: {error}"
            self._log.write("error", "refused_to_start", {"problem": self._refusal})
            return
        self._rearm()
        self._snapshots = SnapshotTaker(self._settings, self._node, self._sql, isolate_name(), self._clock())
        self._deliver(TimePassed())
        tasks.spawn(self._recover())

    async def _recover(self) -> None:
        """Look into the bucket until it answers; before that nothing is sequenced or told to shards."""
        has_answered = await self._node.recover(_let_others_run)
        while not has_answered:
            await asyncio.sleep(RECOVERY_RETRY_S)
            has_answered = await self._node.recover(_let_others_run)

    def _deliver(self, event: Event | VettingEvent) -> None:
        """One turn. If it breaks, so may promises: the object starts anew from what is stored."""
        if self._refusal:
            return
        try:
            self._node.turn(event)
        except Exception as error:  # noqa: BLE001 - whatever it is, going on is worse; it is logged and ends the object
            self._broken(error)
            return
        flushes = self._node.relay.ledger.counts.flushes
        if flushes - self._flushes_seen >= FLUSH_SAMPLE_EVERY:
            self._flushes_seen = flushes
            self._time_flush()
        if self._node.is_doubtful:
            return  # what is stored may be an old copy, and must not get into the bucket
        if self._node.archivist.is_due:
            self._tasks.spawn(self._archive())
        self._look_after_accounts()

    def _look_after_accounts(self) -> None:
        if self._node.hidden_export.is_due:
            self._tasks.spawn(self._node.hidden_export.run(_let_others_run))
        if self._node.purger.is_due:
            self._tasks.spawn(self._purge())

    async def _purge(self) -> None:
        """Go on as long as there is something to purge that need not rest."""
        while self._node.purger.is_due:
            await self._node.purger.run(_let_others_run)
            await asyncio.sleep(PURGE_PAUSE_S)

    async def _archive(self) -> None:
        """Store what is due; an upstream that was paused for it goes on."""
        await self._node.archivist.run(_let_others_run)
        self._deliver(TimePassed())

    def _broken(self, error: BaseException) -> None:
        """A defect of ours: nothing more is done, and the object starts anew from what is stored."""
        self._log.write("error", "turn_failed", {"trace": "".join(traceback.format_exception(error))})
        self._refusal = "a turn failed"
        end_object(self._raw, self._refusal)

    def _hold(self, verifier: Verifier) -> Verifier:
        """Where events are held back in rehearsals; what was held stays held when the relay starts anew."""
        if self._settings.rehearsal != "on":
            return verifier
        self._held = HeldVerifier(verifier, self._deliver, self._held.dids if self._held else ())
        return self._held

    def _time_flush(self) -> None:
        """How long until what was just written is durable."""
        start = js.performance.now()

        def durable(_: Any) -> None:
            self._flush_ms.append(round(js.performance.now() - start, 2))
            del self._flush_ms[:-FLUSH_SAMPLES]

        self._storage.sync().then(create_once_callable(durable))

    def _check(self) -> None:
        if self._refusal:
            raise InvariantError(self._refusal)

    def _check_stream(self) -> None:
        """Raise while nothing can be said about the stream; shards ask again."""
        self._check()
        if self._node.is_blank:
            raise ObjectStoreError("nothing is stored, and the archive was not looked into yet")

    def _rearm(self) -> None:
        """The promise is not awaited: the platform holds back whatever depends on it."""
        self._storage.setAlarm(js.Date.now() + self._settings.alarm_s * 1_000)

    async def alarm(self, *_: Any) -> None:
        """The watchdog. Re-arms first, so that nothing that fails afterwards can end it."""
        if not self._refusal:
            self._rearm()
            self._deliver(TimePassed())
            self._node.forget_hidden()

    async def poke(self, figures: str = "") -> None:
        """Be alive, and publish what the archive holds, if that is told."""
        if not self._refusal:
            if figures:
                self._snapshots.figures = ArchiveFigures.decode(figures)
            self._deliver(TimePassed())

    async def snapshot(self) -> str:
        """The published snapshot, as JSON; or why there is none."""
        if self._refusal:
            return json.dumps({"refusal": self._refusal})
        return json.dumps(self._snapshots.take(self._clock(), self._flush_ms))

    async def query(self, subject: str, name: str) -> str:
        """The answer to a question, as JSON; an empty object if there is no such thing."""
        self._check()
        return json.dumps(report(self._node, Subject(subject), name))

    async def hosts(self, dids: str) -> str:
        """The hosts of some accounts as their identities name them, empty where none is known; lists as JSON."""
        self._check()
        return json.dumps([self._node.known_host(did) or "" for did in json.loads(dids)])

    async def order(self, action: str, did: str, reason: str) -> str:
        """Carry out an order of the operator. Returns what the account is now, as JSON."""
        self._check_stream()
        done = carry_out(self._node, Order(Action(action), did, reason), self._clock())
        self._look_after_accounts()
        return json.dumps(done)

    async def hidden(self, after: int) -> bytes:
        """For shards: the next changes of what replay leaves out, behind a version."""
        self._check_stream()
        return encode_changes(self._node.hidden.changes(int(after)))

    async def join(self, shard: str, region: str) -> None:
        """A shard has readers and wants the feed."""
        self._check_stream()
        self._deliver(ShardAsked(shard, region))

    async def read(self, cursor: int) -> bytes:
        """For readers that are behind: what is forgotten (8 bytes), then the batch at the cursor, if there is one."""
        self._check_stream()
        batch, missing_up_to = self._node.read(int(cursor))
        prefix = missing_up_to.to_bytes(_FORGOTTEN_BYTES, "big")
        return prefix if batch is None else prefix + batch.message()

    async def rehearse(self, action: str, argument: str) -> str:
        """What tests may do to a relay that allows it (`REHEARSAL`)."""
        if self._held is None:
            return "refused"
        match action:
            case "hold":
                self._held.hold(argument)
            case "release":
                self._held.release()
            case "resolve":
                return encode_answers(await self._resolver.ask(decode_questions(argument)))
            case "lose_bucket" | "find_bucket":
                self._objects.is_lost = action == "lose_bucket"
            case "abort":
                self.ctx.abort("rehearsed")
            case "break":
                self._tasks.spawn(_break())
        return str(self._held.held)


async def _break() -> None:
    raise InvariantError("rehearsed")


async def _let_others_run() -> None:
    await asyncio.sleep(BLOCK_PAUSE_S)
