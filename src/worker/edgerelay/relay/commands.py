"""Everything that RelayState can ask for. Imperatives, carried out in order by `runtime.interpreter`, nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from edgerelay.archive.batch import Batch
from edgerelay.relay.intake import Candidate
from edgerelay.relay.position import PositionRow

__all__ = [
    "Append",
    "AskStatus",
    "Checkpoint",
    "CloseShard",
    "CloseUpstream",
    "Command",
    "DialShard",
    "FeedBatch",
    "FeedHead",
    "ForgetShard",
    "Log",
    "OpenUpstream",
    "RememberShard",
    "SetTimer",
    "Verify",
]


class OpenUpstream(NamedTuple):
    """Open a socket to the host. Answered by `UpstreamOpened` or `UpstreamFailed`."""

    connection: int
    cursor: int | None
    """None for the live edge."""


class CloseUpstream(NamedTuple):
    """Close the socket; nothing that it still delivers matters."""

    connection: int


class Verify(NamedTuple):
    """Verify the candidates. Answered by one or more `EventsVerified`."""

    candidates: list[Candidate]


class AskStatus(NamedTuple):
    """Ask a host whether it holds an account active. Answered by `StatusTold`."""

    did: str
    origin: str
    """`https://host[:port]`."""


class Append(NamedTuple):
    """Make a batch durable. Nothing after this command may happen if it fails."""

    batch: Batch


class Checkpoint(NamedTuple):
    """Store positions and accounts as they are after the last append, so that a restart reads less of the log."""

    positions: tuple[PositionRow, ...]
    at_seq: int


class FeedBatch(NamedTuple):
    """Send a batch to a shard."""

    shard: str
    batch: Batch


class FeedHead(NamedTuple):
    """Tell a shard the newest number."""

    shard: str
    last_seq: int


class DialShard(NamedTuple):
    """Open the feed to a shard. Answered by `ShardOpened` or `ShardClosed`."""

    shard: str
    region: str


class CloseShard(NamedTuple):
    """Close the feed to a shard."""

    shard: str


class RememberShard(NamedTuple):
    """Store that a shard has readers, so that it is dialed after a restart."""

    shard: str
    region: str


class ForgetShard(NamedTuple):
    """Store that a shard has no readers."""

    shard: str


class SetTimer(NamedTuple):
    """Come back with `TimePassed` at this time; replaces the timer set before."""

    at_us: int


class Log(NamedTuple):
    """Write a line to the structured log."""

    level: str
    event: str
    fields: Mapping[str, object]


Command: TypeAlias = (
    "OpenUpstream | CloseUpstream | Verify | AskStatus | Append | Checkpoint | FeedBatch | FeedHead | DialShard"
    " | CloseShard | RememberShard | ForgetShard | SetTimer | Log"
)
