"""Everything that can happen to RelayState. Past participles; what follows from them are `commands`."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from edgerelay.relay.accounts import AccountStatus
from edgerelay.relay.intake import Candidate
from edgerelay.relay.roster import ShardLoad

__all__ = [
    "DirectoryChanged",
    "Event",
    "EventsVerified",
    "FramesReceived",
    "LogFilled",
    "ShardAcked",
    "ShardAsked",
    "ShardClosed",
    "ShardOpened",
    "StatusDecided",
    "StatusTold",
    "TextReceived",
    "TimePassed",
    "UpstreamClosed",
    "UpstreamFailed",
    "UpstreamOpened",
]


class TimePassed(NamedTuple):
    """A timer or the alarm fired, or the object has just been constructed."""


class UpstreamOpened(NamedTuple):
    """The socket to the host is open."""

    connection: int
    host_time_us: int | None
    """The host's clock by its `Date` header, unix microseconds; None if it does not say."""

    kind: str
    """`pds`, `relay`, or empty if it could not be found out."""


class UpstreamFailed(NamedTuple):
    """The socket could not be opened."""

    connection: int
    problem: str
    status: int
    """HTTP status of an answer that is no upgrade; 0 if there was no answer."""

    retry_after_s: int


class UpstreamClosed(NamedTuple):
    """The socket is gone."""

    connection: int
    problem: str


class FramesReceived(NamedTuple):
    """Binary messages arrived, in this order."""

    connection: int
    frames: list[bytes]


class TextReceived(NamedTuple):
    """A text message arrived on a stream of binary ones."""

    connection: int


class EventsVerified(NamedTuple):
    """Candidates have their verdicts, in any order."""

    candidates: list[Candidate]


class DirectoryChanged(NamedTuple):
    """The directory of identities stopped answering, or answers again."""

    is_down: bool


class StatusTold(NamedTuple):
    """A host was asked whether an account is active."""

    did: str
    active: bool | None
    """None: it does not say, or does not know the account."""

    status: str | None = None


class StatusDecided(NamedTuple):
    """The operator decided on an account."""

    did: str
    status: AccountStatus
    """`TAKENDOWN`, or `ACTIVE` for whatever its host says."""


class LogFilled(NamedTuple):
    """The hot log has reached its size and may forget nothing, or has room again."""

    full: bool


class ShardAsked(NamedTuple):
    """A shard has readers and wants the feed."""

    name: str
    region: str


class ShardOpened(NamedTuple):
    """A shard accepted the feed."""

    name: str


class ShardClosed(NamedTuple):
    """A shard's feed is gone, or could not be opened."""

    name: str


class ShardAcked(NamedTuple):
    """A shard has everything up to a number."""

    name: str
    seq: int
    clients: int
    isolate: str = ""
    """Names the interpreter that the shard runs in."""

    buffered_amount: bool = False
    """Its sockets tell how much waits in them."""

    load: ShardLoad = ShardLoad()


Event: TypeAlias = (
    "TimePassed | UpstreamOpened | UpstreamFailed | UpstreamClosed | FramesReceived | TextReceived | EventsVerified"
    " | DirectoryChanged | StatusDecided | StatusTold | LogFilled | ShardAsked | ShardOpened | ShardClosed | ShardAcked"
)
