"""What RelayState publishes about itself: the one answer from which `/`, `/health` and `/state` are made.

A JSON object, so that it can cross between objects and versions; whoever reads it tolerates unknown fields.
"""

from __future__ import annotations

from typing import TypedDict

__all__ = [
    "AccountsState",
    "ArchiveState",
    "HotLogState",
    "IdentityState",
    "SegmentsState",
    "ShardState",
    "Snapshot",
    "StorageState",
    "UpstreamReport",
]


class UpstreamReport(TypedDict):
    """The subscription."""

    url: str
    kind: str
    state: str
    since_us: int
    away_us: int
    """How long there has been no connection that lived; 0 while there is one."""

    pauses: list[str]
    last_problem: str
    connection: int
    epoch: int
    low: int
    done: list[list[int]]
    newest_time_us: int
    lag_us: int
    """Now less the `time` of the newest event; 0 before the first."""

    in_flight: int
    waiting_accounts: int
    frames: int
    bytes: int
    repeats: int
    resets: int
    sockets: int
    rejects: dict[str, int]
    tolerated: dict[str, int]


class IdentityState(TypedDict):
    """Looking up identities."""

    directory_down: bool
    waiting: int
    """DIDs without an answer yet."""

    refused: int
    """DIDs that did not resolve, remembered for five minutes."""

    asked: int
    failed: int


class AccountsState(TypedDict):
    """What became known of accounts."""

    chain_breaks: int
    """Commits that did not continue what was known; they were passed on."""

    restated: int
    """`#account` events of our own."""


class HotLogState(TypedDict):
    """The hot log and the ring before it."""

    oldest_seq: int
    last_seq: int
    missing_up_to: int
    batches: int
    bytes: int
    ring_bytes: int


class SegmentsState(TypedDict):
    """The hours that the compaction has joined, as it told RelayState; all 0 until it has."""

    hours: int
    oldest_seq: int
    newest_seq: int
    firehose_objects: int
    firehose_bytes: int
    jetstream_objects: int
    jetstream_bytes: int
    quarantined: int
    """Groups that could not be rendered or joined."""

    stuck_hours: int
    """Hours in which the compaction ended again and again."""


class ArchiveState(TypedDict):
    """The archive's writer."""

    archived_seq: int
    """Every event up to this number is in the archive."""

    waiting_bytes: int
    """Size of the events that are not."""

    groups: int
    """Groups that were stored since the object started."""

    bytes: int
    """Their size."""

    failures: int
    last_problem: str
    """Why the last group could not be stored; empty if it could."""

    segments: SegmentsState


class StorageState(TypedDict):
    """Writing."""

    rows_written: int
    rows_per_s: float
    flushes: int
    failures: int
    checkpoint_seq: int
    schema_version: int


class ShardState(TypedDict):
    """One shard with readers."""

    name: str
    region: str
    state: str
    clients: int
    acked_seq: int
    isolate: str
    buffered_amount: bool
    """Whether its sockets tell what waits in them; where they do not, readers that are behind get a fixed pace."""

    behind: int
    deliveries_per_s: int
    deliveries: int
    prepared: int
    """Frames of the feed that were made ready for its sockets: the same for one reader and for a thousand."""


class Snapshot(TypedDict):
    """All of it."""

    version: str
    protocol: int
    now_us: int
    started_us: int
    isolate: str
    environment: str
    verify: str
    retention_days: int
    events: int
    bytes: int
    clock_behind: int
    upstream: UpstreamReport
    identity: IdentityState
    accounts: AccountsState
    hot_log: HotLogState
    archive: ArchiveState
    storage: StorageState
    shards: list[ShardState]
    endings: dict[str, int]
    """Readers that left or were refused, over all shards."""

    flush_ms: list[float]
