"""Takes the published snapshot of a node."""

from __future__ import annotations

from edgerelay import __version__
from edgerelay.api.snapshot import (
    AccountsState,
    ArchiveState,
    HotLogState,
    IdentityState,
    SegmentsState,
    ShardState,
    Snapshot,
    StorageState,
    UpstreamReport,
)
from edgerelay.archive.batch import HEAD_VERSION
from edgerelay.archive.catalog import NO_FIGURES
from edgerelay.config import Settings
from edgerelay.runtime.node import Node
from edgerelay.runtime.schema import SCHEMA_VERSION
from edgerelay.runtime.sql import Sql

__all__ = ["SnapshotTaker"]

_US = 1_000_000


class SnapshotTaker:
    """Takes snapshots; remembers the one before for the rates between the two."""

    def __init__(self, settings: Settings, node: Node, sql: Sql, isolate: str, now_us: int) -> None:
        """`isolate` names the interpreter, so that objects in the same one can be told."""
        self._settings = settings
        self._node = node
        self._sql = sql
        self._isolate = isolate
        self._started_us = now_us
        self._rows_at = (now_us, sql.rows_written)
        self._rows_per_s = 0.0
        self.figures = NO_FIGURES
        """What the archive holds, as far as this was told."""

    def take(self, now_us: int, flush_ms: list[float]) -> Snapshot:
        """The state now."""
        settings, relay = self._settings, self._node.relay
        return Snapshot(
            version=__version__,
            protocol=HEAD_VERSION,
            now_us=now_us,
            started_us=self._started_us,
            isolate=self._isolate,
            environment=settings.environment,
            verify=settings.verify,
            retention_days=settings.retention_days,
            events=relay.ledger.counts.events,
            bytes=relay.ledger.counts.bytes,
            clock_behind=relay.clock_behind,
            upstream=self._upstream(now_us),
            identity=self._identity(),
            accounts=AccountsState(chain_breaks=relay.ledger.book.chain_breaks, restated=relay.ledger.counts.statuses),
            hot_log=self._hot_log(),
            archive=self._archive(),
            storage=self._storage(now_us),
            shards=[
                ShardState(
                    name=link.name,
                    region=link.region,
                    state=link.state,
                    clients=link.clients,
                    acked_seq=link.acked_seq,
                    isolate=link.isolate,
                    buffered_amount=link.buffered_amount,
                    behind=link.load.behind,
                    deliveries_per_s=link.load.deliveries_per_s,
                    deliveries=link.load.deliveries,
                    prepared=link.load.prepared,
                )
                for link in relay.feed.links
            ],
            endings=dict(relay.feed.endings),
            flush_ms=flush_ms,
        )

    def _upstream(self, now_us: int) -> UpstreamReport:
        relay = self._node.relay
        host, upstream = relay.host, relay.host.upstream
        row = host.position.row()
        return UpstreamReport(
            url=host.url,
            kind=host.kind,
            state=upstream.state,
            since_us=upstream.since_us,
            away_us=upstream.away_us(now_us),
            pauses=list(upstream.pauses),
            last_problem=upstream.last_problem,
            connection=upstream.connection,
            epoch=row.epoch,
            low=row.low,
            done=[list(each) for each in row.done],
            newest_time_us=host.position.newest_time_us,
            lag_us=max(0, now_us - host.position.newest_time_us) if host.position.newest_time_us else 0,
            in_flight=relay.in_flight.count,
            waiting_accounts=relay.in_flight.accounts,
            frames=host.counts.frames,
            bytes=host.counts.bytes,
            repeats=host.counts.repeats,
            resets=host.counts.resets,
            sockets=host.counts.sockets,
            rejects={str(reason): count for reason, count in host.rejects},
            tolerated={str(reason): count for reason, count in self._node.vetting.tolerated.items()},
        )

    def _identity(self) -> IdentityState:
        lookups = self._node.vetting.lookups
        return IdentityState(
            directory_down=lookups.is_down,
            waiting=lookups.waiting,
            refused=lookups.refusing,
            asked=lookups.asked,
            failed=lookups.failed,
        )

    def _hot_log(self) -> HotLogState:
        log = self._node.log
        return HotLogState(
            oldest_seq=log.oldest_seq,
            last_seq=log.last_seq,
            missing_up_to=log.missing_up_to,
            batches=len(log),
            bytes=log.size_bytes,
            ring_bytes=self._node.relay.ring.size_bytes,
        )

    def _archive(self) -> ArchiveState:
        archivist, log = self._node.archivist, self._node.log
        return ArchiveState(
            archived_seq=log.archived_seq,
            waiting_bytes=log.unarchived_bytes,
            groups=archivist.groups,
            bytes=archivist.bytes,
            failures=archivist.failures,
            last_problem=archivist.last_problem,
            segments=self._segments(),
        )

    def _segments(self) -> SegmentsState:
        figures = self.figures
        return SegmentsState(
            hours=figures.hours,
            oldest_seq=figures.oldest_seq,
            newest_seq=figures.newest_seq,
            firehose_objects=figures.firehose_objects,
            firehose_bytes=figures.firehose_bytes,
            jetstream_objects=figures.jetstream_objects,
            jetstream_bytes=figures.jetstream_bytes,
            quarantined=figures.quarantined,
            stuck_hours=figures.stuck_hours,
        )

    def _storage(self, now_us: int) -> StorageState:
        at_us, rows = self._rows_at
        if now_us < at_us:  # the clock was set back
            self._rows_at = (now_us, self._sql.rows_written)
        elif now_us - at_us >= _US:
            self._rows_per_s = (self._sql.rows_written - rows) * _US / (now_us - at_us)
            self._rows_at = (now_us, self._sql.rows_written)
        return StorageState(
            rows_written=self._sql.rows_written,
            rows_per_s=round(self._rows_per_s, 1),
            flushes=self._node.relay.ledger.counts.flushes,
            failures=self._node.storage_failures,
            checkpoint_seq=self._node.accounts.checkpoint_seq,
            schema_version=SCHEMA_VERSION,
        )
