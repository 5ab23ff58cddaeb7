"""Carries out commands: the one place in which behaviour has effects.

Every command has a case here and nowhere else. An answer that is known at once is returned as an event; all others come
later, from the ports.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from edgerelay.archive.codec import Codec
from edgerelay.relay.accounts import AccountStore
from edgerelay.relay.commands import (
    Append,
    AskStatus,
    Checkpoint,
    CloseShard,
    CloseUpstream,
    Command,
    DialShard,
    FeedBatch,
    FeedHead,
    ForgetShard,
    Log,
    OpenUpstream,
    RememberShard,
    SetTimer,
    Verify,
)
from edgerelay.relay.events import Event, EventsVerified
from edgerelay.relay.identities import IdentityStore
from edgerelay.runtime.group_queue import GroupQueue
from edgerelay.runtime.hidden_table import HiddenTable
from edgerelay.runtime.hot_log import HotLog
from edgerelay.runtime.objects import ObjectStore
from edgerelay.runtime.ports import IdentityPort, LogSink, ShardPort, SignaturePort, Timer, UpstreamPort, Verifier
from edgerelay.runtime.registry import Registry

__all__ = ["Interpreter", "Ports"]


@dataclass(frozen=True, slots=True)
class Ports:
    """The platform, as RelayState sees it."""

    upstream: UpstreamPort
    shards: ShardPort
    signatures: SignaturePort
    identities: IdentityPort
    objects: ObjectStore
    """Where the archive lies."""

    queue: GroupQueue
    """Who waits for groups."""

    codec: Codec
    """What packs them."""

    timer: Timer
    """Fires `TimePassed`."""

    lookup_timer: Timer
    """Fires `LookupsDue`."""

    log: LogSink
    clock: Callable[[], int]
    """Unix microseconds."""

    random: Callable[[], float]
    """Uniform in [0, 1)."""

    intercept: Callable[[Verifier], Verifier] = lambda verifier: verifier
    """What stands between a relay and its verifier; rehearsals hold events back there."""


class Interpreter:
    """Binds commands to ports and stores."""

    def __init__(
        self,
        ports: Ports,
        verifier: Verifier,
        log: HotLog,
        accounts: AccountStore,
        identities: IdentityStore,
        hidden: HiddenTable,
        registry: Registry,
    ) -> None:
        self._ports = ports
        self._verifier = verifier
        self._log = log
        self._accounts = accounts
        self._identities = identities
        self._hidden = hidden
        self._registry = registry
        self.connection = 0
        """Number of the socket to the host that was opened last; 0 before the first."""

    def carry_out(self, command: Command) -> Event | None:
        """Do what the command says. With every append goes one short step of tidying up a store.

        Raises:
            SqlError: the storage refused a write; nothing after this command may happen.
        """
        ports = self._ports
        match command:
            case Verify(candidates):
                settled = self._verifier.verify(candidates)
                return EventsVerified(settled) if settled else None
            case Append(batch):
                self._log.append(batch, ports.clock(), self._accounts.checkpoint_seq)
                self._hidden.note(batch.head, self._accounts)
                if not self._accounts.merge_step():
                    self._identities.merge_step()
            case AskStatus(did, origin):
                ports.identities.ask_status(did, origin)
            case FeedBatch(shard, batch):
                ports.shards.send_batch(shard, batch)
            case FeedHead(shard, last_seq):
                ports.shards.send_head(shard, last_seq)
            case SetTimer(at_us):
                ports.timer.set(at_us)
            case OpenUpstream(connection, cursor):
                self.connection = connection
                ports.upstream.open(connection, cursor)
            case CloseUpstream(connection):
                ports.upstream.close(connection)
            case DialShard(shard, region):
                ports.shards.dial(shard, region)
            case CloseShard(shard):
                ports.shards.close(shard)
            case Checkpoint(positions, at_seq):
                self._registry.save_positions(positions)
                # Before the accounts': what a restart reads again of the log forgets the rest of the identities.
                self._identities.checkpoint(ports.clock())
                self._accounts.checkpoint(at_seq)
            case RememberShard(shard, region):
                self._registry.remember_shard(shard, region)
            case ForgetShard(shard):
                self._registry.forget_shard(shard)
            case Log(level, event, fields):
                ports.log.write(level, event, fields)
            case _:
                assert_never(command)
        return None
