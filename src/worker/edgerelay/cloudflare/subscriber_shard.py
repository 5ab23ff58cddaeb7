"""The Durable Object SubscriberShard: a `relay.shard.Shard` on the platform.

All sockets are accepted with hibernation: a shard whose readers are live and whose feed is quiet sleeps, and costs
nothing. What outlives its memory is the sockets, with what is known of each reader, and the head, which is attached to
the feed's socket with every batch. A reader that has turns keeps a timer, so that a shard never falls asleep with one.
"""

from __future__ import annotations

import asyncio
import json
import traceback
import uuid
from contextlib import suppress
from typing import Any, Final

import js
from pyodide.ffi import JsException, to_js
from workers import DurableObject, Response

from edgerelay.api.jetstream import Close
from edgerelay.api.message import Request, error_response
from edgerelay.api.router import finish
from edgerelay.api.subscribe import parse_subscription
from edgerelay.api.subscription import Subscription
from edgerelay.archive.batch import HEAD_VERSION
from edgerelay.archive.firehose_block import open_batch
from edgerelay.archive.hiding import HidingError
from edgerelay.archive.jetstream_block import LineBlock
from edgerelay.cloudflare.brotli import BrotliCodec
from edgerelay.cloudflare.bucket import Bucket
from edgerelay.cloudflare.buffered import Buffered, cut_batch, frame_of, load_block
from edgerelay.cloudflare.buffers import Buffers
from edgerelay.cloudflare.clock import make_clock
from edgerelay.cloudflare.isolate import end_object, isolate_name
from edgerelay.cloudflare.log import JsonLog
from edgerelay.cloudflare.plain_object import plain_object
from edgerelay.cloudflare.reader_sockets import CLOSING_MS, ReaderSockets, close_socket
from edgerelay.cloudflare.relay_calls import RelayCalls
from edgerelay.cloudflare.requests import to_request, to_response
from edgerelay.cloudflare.settings import read_settings
from edgerelay.cloudflare.sql import DurableSql
from edgerelay.cloudflare.tasks import Tasks
from edgerelay.cloudflare.timer import PlatformTimer
from edgerelay.cloudflare.zstd import pack_message
from edgerelay.relay.cursor import Start, Window
from edgerelay.relay.hidden import HiddenAccounts
from edgerelay.relay.placement import ShardName
from edgerelay.relay.shard import Shard, ShardPolicy
from edgerelay.relay.shard_commands import CloseReader, History, Read, Send, SendControl, ShardCommand
from edgerelay.runtime.archive_reader import ArchiveReader
from edgerelay.runtime.audience import Audience
from edgerelay.runtime.exports import Exports
from edgerelay.runtime.hidden_reader import HiddenReader
from edgerelay.runtime.history_reads import HistoryReads
from edgerelay.runtime.kept_lines import KeptLines
from edgerelay.runtime.lines import Lines
from edgerelay.runtime.objects import ObjectStoreError
from edgerelay.runtime.replay import RelayAwayError, Replay
from edgerelay.runtime.seats import Seat, Seats, SeatTooLargeError

__all__ = ["SHARD_REHEARSALS", "SubscriberShard"]

_HOUR_US: Final = 3_600_000_000
_DAY_US: Final = 24 * _HOUR_US
_MS_US: Final = 1_000

ASK_MS: Final = 2_000
"""Milliseconds after which a shard without a feed asks for it again."""

READ_RETRY_S: Final = 1
"""Seconds before a reader asks again for what neither RelayState nor the bucket gave."""

_OPEN: Final = 1
"""The `readyState` of a socket that neither side has closed."""

TELL_MS: Final = 1_000
"""Milliseconds after which RelayState knows that readers came or left, should no batch be acknowledged meanwhile."""

SHARD_REHEARSALS: Final = ("end_shard", "break_shard", "mute_shard")
"""What tests may do to a shard: end it, let what it does next fail, or let it answer nobody for a while."""

MUTE_S: Final = 10
"""Seconds for which whoever comes to a muted shard waits."""

_NORMAL: Final = 1000

CLAMPED: Final = "x-edgerelay-cursor"
"""The header that says where a stream begins whose cursor was too old: Jetstream v1 has no words for it."""


class SubscriberShard(DurableObject):
    """Sockets of subscribers, and the feed that they live on."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        settings = self._settings = read_settings(env)
        self._raw = ctx._ctx if hasattr(ctx, "_ctx") else ctx
        self._relay = RelayCalls(env.RELAY_STATE._binding)
        self._clock = make_clock(settings)
        self._log = JsonLog("shard", settings.log_level)
        self._readers = ReaderSockets(self._raw, settings, self._log, self._clock, self._left)
        self._tasks = Tasks(self._broken)
        self._hidden = HiddenAccounts()
        policy = ShardPolicy(settings.ring_bytes, settings.unsent_bytes, settings.blind_bytes_per_s, settings.stuck_s)
        lines: Lines[Buffered] = Lines(frame_of, pack_message, to_js, self._log)
        self._shard: Shard[Buffered | LineBlock] = Shard(
            policy, self._readers.unsent, lines.render, self._hidden.indexes
        )
        self._audience = Audience(Seats(DurableSql(self._raw, Buffers())), pack_message)
        codecs = {BrotliCodec.id: BrotliCodec()}
        bucket = Bucket(env.ARCHIVE._binding)
        archive = ArchiveReader(bucket, lambda block: load_block(open_batch(block, codecs)))
        kept_lines = KeptLines(bucket, codecs, self._log)
        self._replay: Replay[Buffered] = Replay(archive, kept_lines, self._relay.read, self._log)
        self._reads = HistoryReads(self._find, self._answer, self._shard, self._clock, self._tasks.spawn)
        self._hidden_reader = HiddenReader(self._hidden, self._relay.hidden, Exports(bucket).hidden)
        self._window = Window(settings.default_replay_hours * _HOUR_US, settings.retention_days * _DAY_US)
        self._pace_timer = PlatformTimer(self._pace, self._clock, self._broken)
        self._ask_timer = PlatformTimer(self._ask, self._clock, self._broken)
        self._tell_timer = PlatformTimer(self._tell, self._clock, self._broken)
        self._is_pump_due = False
        self._prepared = 0
        self._is_mute = False
        self._name = ""
        self._wake()

    def _wake(self) -> None:
        """Take over the sockets that outlived our memory: their readers had everything up to the head."""
        for feed in self._raw.getWebSockets("feed"):
            head = feed.deserializeAttachment()
            self._call(head.name)
            self._shard.feed_head(int(head.seq), self._clock())
        for seat in self._audience.restore(self._readers.restore()):
            if not seat.awaits_hello:
                self._shard.resume(seat.reader, seat.channel, seat.first_number, self._clock())
        if self._name:
            self._log.write("info", "shard_woke", {"readers": len(self._readers)})

    def _call(self, name: str) -> None:
        """This is the shard's name, which says what it is for."""
        self._name = name
        self._readers.serve(ShardName.parse(name).kind)

    async def fetch(self, request: Any) -> Any:
        """A subscriber, or RelayState with the feed."""
        if self._is_mute:
            await asyncio.sleep(MUTE_S)
        asked = to_request(request.js_object, from_worker=True)
        return self._accept_feed(asked) if asked.path == "/feed" else self._accept_reader(asked)

    # --- the feed -------------------------------------------------------------------------------------------------

    def _accept_feed(self, request: Request) -> Any:
        self._call(request.headers["x-shard"])
        for old in self._raw.getWebSockets("feed"):
            close_socket(old, _NORMAL, "replaced")
        client, server = js.WebSocketPair.new().object_values()
        self._raw.acceptWebSocket(server, to_js(["feed"]))
        self._remember_head(server)
        self._ask_timer.cancel()
        return Response(None, status=101, web_socket=client)

    def _remember_head(self, feed: Any) -> None:
        feed.serializeAttachment(plain_object({"name": self._name, "seq": self._shard.head or 0}))

    def _has_feed(self) -> bool:
        """Whether there is one that nobody has closed: one that closes is still among the sockets."""
        return any(feed.readyState == _OPEN for feed in self._raw.getWebSockets("feed"))

    async def _ask_for_feed(self) -> None:
        try:
            await self._relay.join(self._name, ShardName.parse(self._name).region)
        except RelayAwayError as error:
            self._log.write("warning", "no_feed", {"problem": str(error)[:200]})

    def _ask(self) -> None:
        """Ask for the feed, and again until it comes."""
        self._ask_timer.cancel()
        if len(self._readers) and not self._has_feed():
            self._tasks.spawn(self._ask_for_feed())
            self._ask_timer.start(ASK_MS)

    def _fed(self, feed: Any, message: Any) -> None:
        now_us = self._clock()
        if isinstance(message, str):
            self._shard.feed_head(json.loads(message)["head"], now_us)
            self._hidden_reader.missed()
        else:
            self._relieve()
            batch = cut_batch(message)
            self._prepared += len(batch.frames)
            self._carry_out(self._shard.batch(batch, now_us))
            self._hidden_reader.saw(batch.head)
        self._remember_head(feed)
        self._acknowledge(feed)
        self._pace()

    def _acknowledge(self, feed: Any) -> None:
        load = self._readers.roster.load(self._shard.behind, self._prepared, self._clock())
        ack = {
            "v": HEAD_VERSION,
            "ack": self._shard.head or 0,
            "clients": len(self._readers),
            "isolate": isolate_name(),
            "buffered_amount": hasattr(feed, "bufferedAmount"),
            "load": load._asdict(),
        }
        with suppress(JsException):  # the feed is closing
            feed.send(json.dumps(ack))

    def _tell_soon(self) -> None:
        """Something changed that RelayState publishes."""
        if not self._tell_timer.is_set:
            self._tell_timer.start(TELL_MS)

    def _tell(self) -> None:
        """Say who reads; if it is nobody, RelayState may forget this shard."""
        self._tell_timer.cancel()
        for feed in self._raw.getWebSockets("feed"):
            self._acknowledge(feed)

    # --- readers --------------------------------------------------------------------------------------------------

    def _accept_reader(self, request: Request) -> Any:
        self._call(request.headers["x-shard"])
        subscription = parse_subscription(request)
        if not isinstance(subscription, Subscription):
            return to_response(finish(request, subscription))
        self._tell_soon()
        refusal = self._readers.refuse(request, self._shard.behind)
        if refusal is not None:
            return to_response(finish(request, refusal))
        start = self._start(subscription)
        seat = Seat.of(uuid.uuid4().hex, subscription, start)
        try:
            client = self._readers.accept(request, seat, self._audience.seat(seat))
        except SeatTooLargeError as error:
            return to_response(finish(request, error_response(request, 503, "ShardFull", str(error))))
        if not seat.awaits_hello:
            self._join(seat, start)
        headers = {CLAMPED: str(start.cursor)} if start.outdated else {}
        headers |= {"sec-websocket-protocol": subscription.protocol} if subscription.protocol else {}
        return Response(None, status=101, headers=headers, web_socket=client)

    def _start(self, subscription: Subscription) -> Start:
        return subscription.start(self._window, last_seq=self._shard.head or 0, now_us=self._clock())

    def _join(self, seat: Seat, start: Start) -> None:
        self._carry_out(self._shard.join(seat.reader, start, self._clock(), seat.channel))
        if not self._has_feed():
            self._ask()
        self._pace()

    async def webSocketMessage(self, socket: Any, message: Any) -> None:
        """A batch of the feed, or what a client says, unless it is closed and does not know it yet."""
        if socket.readyState != _OPEN:
            return
        if _is_feed(self._raw, socket):
            self._tasks.run(self._fed, socket, message)
            return
        reader = self._readers.reader_of(socket)
        if reader is not None:
            self._heard(reader, message)

    def _heard(self, reader: str, message: Any) -> None:
        said = message if isinstance(message, str) else message.to_bytes()
        match self._audience.hear(reader, said, self._clock()):
            case Seat() as seat:
                self._change(seat)
            case Close(code, reason):
                self._readers.close(reader, reason, code)

    def _change(self, seat: Seat) -> None:
        """A reader said what it wants from now on; one that had not done so before begins."""
        start = self._start(Subscription(seat.cursor, seat.channel)) if seat.awaits_hello else None
        seat = seat.after_hello(start) if start is not None else seat
        try:
            self._readers.attach(seat.reader, self._audience.seat(seat))
        except SeatTooLargeError:
            self._readers.close(seat.reader, "OptionsTooLarge")
            return
        if start is not None:
            self._join(seat, start)
        else:
            self._shard.change(seat.reader, seat.channel)

    async def webSocketClose(self, socket: Any, *_: Any) -> None:
        """The peer closed, or is gone. Its close frame is answered: clients wait for that."""
        self._gone(socket)
        close_socket(socket, _NORMAL, "")

    async def webSocketError(self, socket: Any, *_: Any) -> None:
        """A socket broke."""
        self._gone(socket)

    def _gone(self, socket: Any) -> None:
        if _is_feed(self._raw, socket):
            self._shard.feed_lost()
            self._ask()
            return
        self._readers.gone(socket)

    def _left(self, reader: str) -> None:
        self._shard.left(reader)
        self._audience.leave(reader)
        if len(self._readers):
            self._tell_soon()
        else:
            self._tell()

    def _pace(self) -> None:
        """Give readers that are behind their turn, at once again as long as any of them gets something."""
        self._pace_timer.cancel()
        self._is_pump_due = False
        self._relieve()
        if self._readers.is_closing:
            self._pace_timer.start(CLOSING_MS)
        if not self._shard.is_pumping:
            return
        if not self._hidden_reader.is_behind:
            self._pump()
        elif not self._hidden_reader.is_asking:  # nothing is read back before it is known whose events are left out
            self._tasks.spawn(self._refresh_hidden())

    def _relieve(self) -> None:
        self._readers.relieve(self._shard.ring, lambda: self._shard.history_bytes)
        self._shard.measured(self._readers.unsent_bytes)

    def _pump(self) -> None:
        self._carry_out(self._shard.pump(self._clock()))
        if self._shard.is_pumping:
            self._pace_timer.start(-(-self._shard.rest_us(self._clock()) // _MS_US))

    async def _refresh_hidden(self) -> None:
        try:
            await self._hidden_reader.refresh()
        except (RelayAwayError, ObjectStoreError, HidingError) as error:
            self._log.write("warning", "read_failed", {"problem": str(error)[:200]})
            await asyncio.sleep(READ_RETRY_S)
            self._pace()
        else:
            self._pump()

    async def _find(self, read: Read) -> History[Buffered | LineBlock] | None:
        await self._readers.wait_for_memory()
        try:
            return await self._replay.find(read.cursor, read.channel.filter.may_match(), read.channel.wire)
        except (RelayAwayError, ObjectStoreError) as error:
            self._log.write("warning", "read_failed", {"problem": str(error)[:200]})
        self._tasks.spawn(self._ask_again(read.reader))
        return None

    def _answer(self, read: Read, history: History[Buffered | LineBlock]) -> None:
        self._carry_out(self._shard.answer(read.reader, history))
        if not self._is_pump_due:  # hundreds may be answered at once
            self._is_pump_due = True
            self._pace_timer.start(0)

    async def _ask_again(self, reader: str) -> None:
        await asyncio.sleep(READ_RETRY_S)
        self._shard.read_failed(reader)
        self._pace()

    def _broken(self, error: BaseException) -> None:
        """A defect of ours, such as a reader that would wait for ever: readers come back with their cursors."""
        self._log.write("error", "task_failed", {"trace": "".join(traceback.format_exception(error))})
        end_object(self._raw, "a task failed")

    # --- effects --------------------------------------------------------------------------------------------------

    def _carry_out(self, commands: list[ShardCommand]) -> None:
        for command in commands:
            match command:
                case Send(readers, messages, size_bytes):
                    for reader in readers:
                        self._readers.send(reader, messages, size_bytes)
                case SendControl(reader, name, message, is_error):
                    said = self._audience.say(reader, name, message, is_error=is_error)
                    if said is not None:
                        self._readers.send(reader, [to_js(said)])
                case Read():
                    self._reads.ask(command)
                case CloseReader(reader, reason):
                    self._readers.close(reader, reason)

    async def rehearse(self, action: str) -> str:
        """What tests may do to a shard that allows it (`REHEARSAL`)."""
        if self._settings.rehearsal == "on" and action == "end_shard":
            end_object(self._raw, "rehearsed")
        if self._settings.rehearsal == "on" and action == "break_shard":
            del self._shard
        self._is_mute = self._settings.rehearsal == "on" and action == "mute_shard"
        return action


def _is_feed(raw: Any, socket: Any) -> bool:
    return bool(raw.getTags(socket)[0] == "feed")
