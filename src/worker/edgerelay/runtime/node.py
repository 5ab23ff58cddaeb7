"""RelayState without its platform: stores, behaviour and ports put together, one turn at a time.

A turn takes one event through `Relay.handle`, carries out what comes back, and goes on with the events that this
produced, until nothing is left. It does not wait for anything.

When the storage refuses a write, what was not yet durable is dropped with the whole of `Relay`, and a new one starts
from what is stored, with its upstream paused: the same way back as after a restart, and nothing was shown to anyone.

Its upstream is paused at the start until `recover` has looked into the archive. A node that has nothing stored is
*blank* until then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator

from edgerelay.archive.batch import Batch, BatchHead, join_batches
from edgerelay.config import Settings
from edgerelay.errors import EdgeRelayError
from edgerelay.relay.accounts import RECORD_BYTES, Account, hash_did
from edgerelay.relay.commands import Append, Checkpoint
from edgerelay.relay.events import DirectoryChanged, Event, EventsVerified, LogFilled, TimePassed
from edgerelay.relay.position import PositionRow
from edgerelay.relay.relay import Relay
from edgerelay.relay.restored import Restored
from edgerelay.relay.upstream import PauseReason
from edgerelay.relay.vetting import IdentitiesResolved, LookupsDue, SignaturesChecked, Vetting, VettingEvent
from edgerelay.runtime.account_runs import AccountRuns
from edgerelay.runtime.archive_end import is_overtaken
from edgerelay.runtime.archivist import Archivist
from edgerelay.runtime.audit import Audit
from edgerelay.runtime.exports import Exports
from edgerelay.runtime.hidden_export import HiddenExport
from edgerelay.runtime.hidden_table import HiddenTable
from edgerelay.runtime.hot_log import HotLog, LogPolicy
from edgerelay.runtime.identity_runs import IdentityRuns
from edgerelay.runtime.interpreter import Interpreter, Ports
from edgerelay.runtime.purger import Purger
from edgerelay.runtime.purges import Purges
from edgerelay.runtime.rebuilding import Rebuilding
from edgerelay.runtime.recovery import recover
from edgerelay.runtime.registry import Registry
from edgerelay.runtime.schema import migrate
from edgerelay.runtime.sql import Sql, SqlError
from edgerelay.runtime.sweep import GRACE_US
from edgerelay.runtime.verification import VettingVerifier

__all__ = ["READ_BATCHES", "READ_BYTES", "Node"]

READ_BYTES = 384_000
"""Bytes of the log that a reader gets at once, or one batch more, as large as a block of the archive: to ask takes some
milliseconds, and a batch of the real network has 80 KB."""

READ_BATCHES = 64
"""Batches that a reader gets at once, where they are small: each is a row to read."""

_S_US = 1_000_000
_MINUTE_US = 60 * _S_US
_DAY_US = 24 * 60 * _MINUTE_US


class Node:
    """One RelayState."""

    def __init__(self, settings: Settings, sql: Sql, ports: Ports) -> None:
        """Open the state, bring it forward if it is older, and read what a restart needs.

        Raises:
            SchemaError: the state was written by a newer version.
        """
        migrate(sql)
        self._settings = settings
        self._sql = sql
        self._ports = ports
        self._events: deque[Event | VettingEvent] = deque()
        self._in_turn = False
        self.storage_failures = 0
        self.is_doubtful = True
        """Whether the archive holds more than what is stored is not known."""

        self._start(connection=0, problem="")
        self.archivist = Archivist(
            ports.objects,
            ports.queue,
            ports.codec,
            Registry(sql),
            lambda: self.log,
            ports.log,
            ports.clock,
            settings.seal_s * _S_US,
        )
        self.purger = Purger(
            ports.objects,
            {ports.codec.id: ports.codec},
            Purges(sql),
            self.audit,
            lambda: self.log,
            ports.log,
            ports.clock,
        )
        self.hidden_export = HiddenExport(ports.objects, lambda: self.hidden, ports.log, ports.clock)

    def _start(self, *, connection: int, problem: str) -> None:
        settings, sql, ports = self._settings, self._sql, self._ports
        registry = Registry(sql)
        policy = LogPolicy(settings.log_stop_bytes, settings.log_min_minutes * _MINUTE_US)
        archived_seq = registry.archive_mark().archived_seq
        self.log = HotLog(sql, policy, archived_seq, lost_seq=archived_seq)
        self.is_blank = self.is_doubtful and not self.log.last_seq
        """Nothing is stored, and the archive was not looked into yet: nothing can be said about the stream."""

        self.accounts = AccountRuns(sql)
        self.identities = IdentityRuns(sql)
        self.hidden = HiddenTable(sql)
        self.audit = Audit(sql)
        host_id = registry.host_id(settings.upstream) if settings.upstream and not self.is_blank else 0
        restored = self._restore(registry, host_id)._replace(
            connection=connection, is_doubtful=self.is_doubtful, storage_problem=problem
        )
        self.since_us = now_us = ports.clock()
        """When the present relay began, and its counts with it."""

        self.relay = Relay(settings, restored, self.accounts, ports.random, now_us)
        self.vetting = Vetting(settings, self.relay.host, self.accounts, self.identities, now_us)
        self._directory_is_down = False
        """What the relay was told of the directory."""

        self._verifier = VettingVerifier(
            self.vetting, ports.signatures, ports.identities, ports.lookup_timer, ports.clock
        )
        verifier = ports.intercept(self._verifier)
        self._interpreter = Interpreter(
            ports, verifier, self.log, self.accounts, self.identities, self.hidden, registry
        )

    def _restore(self, registry: Registry, host_id: int) -> Restored:
        """Positions and accounts as of the checkpoint, and then what each later batch changed."""
        positions = registry.positions()
        last_width = 1
        for head in self.log.heads_after(min(self.accounts.checkpoint_seq, self.log.last_seq - 1)):
            last_width = head.last_width
            if head.last_seq <= self.accounts.checkpoint_seq:
                continue  # the checkpoint knows better; only the width of the last number is in no other place
            positions.update({fields[0]: PositionRow(*fields) for fields in head.positions})
            for kind, did in zip(head.kinds, head.dids, strict=True):
                if kind in ("#identity", "#account"):  # to forget an identity is made durable by nothing else
                    self.identities.forget(hash_did(did))
            for start in range(0, len(head.accounts), RECORD_BYTES):
                self.accounts.put(Account.decode(head.accounts[start : start + RECORD_BYTES]))
            self._try_note(head)
            if self.accounts.checkpoint_due:
                self._try_checkpoint(registry, positions, head.last_seq)
        last_seq = max(self.log.last_seq, self.accounts.checkpoint_seq)
        return Restored(host_id, tuple(positions.values()), last_seq, last_width, tuple(registry.shards()))

    def _try_checkpoint(self, registry: Registry, positions: dict[int, PositionRow], at_seq: int) -> None:
        """Keep what must be held in memory small. A storage that takes no writes can still be read."""
        try:
            registry.save_positions(positions.values())
            self.identities.checkpoint(self._ports.clock())
            self.accounts.checkpoint(at_seq)
        except SqlError as error:
            self._ports.log.write("error", "checkpoint_failed", {"problem": str(error)})

    def _try_note(self, head: BatchHead) -> None:
        """The same: what cannot be written now is written with the next batch."""
        try:
            self.hidden.note(head, self.accounts)
        except SqlError as error:
            self._ports.log.write("error", "checkpoint_failed", {"problem": str(error)})

    async def recover(self, pause: Callable[[], Awaitable[None]]) -> bool:
        """Look into the archive before anything is sequenced; tells whether it answered.

        A node that is blank, or whose archive has overtaken what is stored, is rebuilt from it, and waits until it
        can be. Any other goes on without an answer.

        Args:
            pause: awaited between two blocks.
        """
        ports, upstream, is_lost = self._ports, self.relay.host.upstream, self.is_blank
        try:
            is_lost = is_lost or await is_overtaken(ports.objects, self.log.archived_seq, self.log.last_seq)
            if is_lost:
                await self._rebuild(pause)
        except EdgeRelayError as error:
            upstream.last_problem = str(error)
            ports.log.write("error", "recovery_failed", {"problem": str(error)})
            if is_lost:
                return False
        self.is_doubtful = False
        upstream.resume(PauseReason.RECOVERY, ports.clock())
        self.turn(TimePassed())
        return True

    async def _rebuild(self, pause: Callable[[], Awaitable[None]]) -> None:
        ports, rebuilding = self._ports, Rebuilding(self._sql, self.accounts, self.hidden)
        found = await recover(ports.objects, {ports.codec.id: ports.codec}, ports.log, pause)
        async for changes in Exports(ports.objects).hidden():
            rebuilding.hide(changes)
            await pause()
        fields = rebuilding.keep(found, self._settings.upstream, ports.clock())
        if found.last_seq:
            ports.log.write("warning", "recovered", fields)
        self.is_doubtful = False
        self._start_anew(problem="")

    def _start_anew(self, *, problem: str) -> None:
        """Drop what is in memory and begin with what is stored."""
        upstream = self.relay.host.upstream
        self._events.clear()
        self._ports.upstream.close(self._interpreter.connection)
        for link in self.relay.feed.links:
            self._ports.shards.close(link.name)
        self._start(connection=upstream.connection, problem=problem)

    def turn(self, event: Event | VettingEvent) -> None:
        """Handle an event and everything that follows from it at once."""
        self._events.append(event)
        if self._in_turn:
            return
        self._in_turn = True
        try:
            while self._events:
                self._step(self._events.popleft())
        finally:
            self._in_turn = False

    def _step(self, event: Event | VettingEvent) -> None:
        try:
            if isinstance(event, SignaturesChecked | IdentitiesResolved | LookupsDue):
                self._vet(event)
            else:
                self._follow(event)
            self._look_after_vetting()
        except SqlError as error:
            self._storage_failed(error)

    def _vet(self, event: VettingEvent) -> None:
        settled = self._verifier.handle(event)
        if settled:
            self._events.append(EventsVerified(settled))

    def _look_after_vetting(self) -> None:
        """What may follow from an event that arrives as well as from an answer."""
        if self.identities.checkpoint_due:
            self.identities.checkpoint(self._ports.clock())
        is_down = self.vetting.lookups.is_down
        if is_down != self._directory_is_down:
            self._directory_is_down = is_down
            self._events.append(DirectoryChanged(is_down))

    def _follow(self, event: Event) -> None:
        commands = self.relay.handle(event, self._ports.clock())
        for command in commands:
            answer = self._interpreter.carry_out(command)
            if answer is not None:
                self._events.append(answer)
        if isinstance(event, TimePassed) or any(isinstance(command, Append | Checkpoint) for command in commands):
            self._look_at_log()

    def _look_at_log(self) -> None:
        is_full = self.log.is_full(self._ports.clock(), self.accounts.checkpoint_seq)
        if is_full != (PauseReason.ARCHIVE in self.relay.host.upstream.pauses):
            self._events.append(LogFilled(is_full))

    def _storage_failed(self, error: SqlError) -> None:
        self.storage_failures += 1
        self._ports.log.write("error", "storage_failed", {"problem": str(error)})
        self._start_anew(problem=str(error))
        # The new relay sets its timer, or nobody would come back when the pause is over.
        self._events.append(TimePassed())

    def forget_hidden(self) -> None:
        """Forget some of who was hidden so long ago that none of their events is kept."""
        try:
            self.hidden.forget(self._ports.clock() - self._settings.retention_days * _DAY_US - GRACE_US)
        except SqlError as error:
            self._storage_failed(error)

    def read(self, cursor: int) -> tuple[Batch | None, int]:
        """For a reader that is behind: a batch with the first number at or beyond `cursor`, if there is one yet, and
        what follows it, up to `READ_BYTES`; and the number up to which everything is forgotten."""
        batches: list[Batch] = []
        size_bytes, missing_up_to = 0, self.log.missing_up_to
        for batch in self._since(cursor):
            batches.append(batch)
            size_bytes += batch.size_bytes
            if size_bytes >= READ_BYTES or len(batches) >= READ_BATCHES:
                break
        if not batches:
            return None, missing_up_to
        joined = batches[0] if len(batches) == 1 else join_batches(batches)
        # The ring may still hold what the log has forgotten.
        return joined, min(missing_up_to, joined.head.prev_seq)

    def _since(self, cursor: int) -> Iterator[Batch]:
        """The batches from a cursor on: those of the log, until the ring has what follows."""
        if self.relay.ring.find(cursor) is None:
            for batch in self.log.batches_after(cursor - 1):
                yield batch
                cursor = batch.head.last_seq + 1
                if self.relay.ring.find(cursor) is not None:
                    break
        yield from self.relay.ring.since(cursor)

    def known_host(self, did: str) -> str | None:
        """The host that an account's identity names, as an origin; None if the identity is not known, or too old."""
        known = self.identities.get(hash_did(did))
        return known.pds if known is not None and known.is_fresh(self._ports.clock()) else None
