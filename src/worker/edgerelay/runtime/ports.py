"""The ports of RelayState: what behaviour needs from a platform, and nothing that a platform needs from it.

All of them answer at once; what takes time is answered later by an event. `runtime.memory` has implementations without
a platform, `cloudflare` has the real ones; the SQL port is `runtime.sql`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from edgerelay.archive.batch import Batch
from edgerelay.relay.intake import Candidate
from edgerelay.relay.lookups import Inquiry
from edgerelay.relay.vetting import CheckSignatures

__all__ = ["IdentityPort", "LogSink", "ShardPort", "SignaturePort", "Timer", "UpstreamPort", "Verifier"]


class UpstreamPort(Protocol):
    """Sockets to the host."""

    def open(self, connection: int, cursor: int | None) -> None:
        """Begin to open a socket; `UpstreamOpened` or `UpstreamFailed` follows."""

    def close(self, connection: int) -> None:
        """Close it. Closing one that is gone is no error."""


class ShardPort(Protocol):
    """The feed's sockets to the shards."""

    def dial(self, shard: str, region: str) -> None:
        """Begin to open the feed; `ShardOpened` or `ShardClosed` follows."""

    def send_batch(self, shard: str, batch: Batch) -> None:
        """Send a batch, in order with everything sent before."""

    def send_head(self, shard: str, last_seq: int) -> None:
        """Tell the newest number, in order with everything sent before."""

    def close(self, shard: str) -> None:
        """Close the feed. Closing one that is gone is no error."""


class Verifier(Protocol):
    """Gives candidates their verdicts."""

    def verify(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return those that have their verdict at once; the others follow in `EventsVerified`."""


class SignaturePort(Protocol):
    """The cryptography."""

    def check(self, batch: CheckSignatures) -> None:
        """Begin to check the signatures of a batch; `SignaturesChecked` follows."""


class IdentityPort(Protocol):
    """Questions to the directory of identities and to the hosts of accounts."""

    def look_up(self, inquiry: Inquiry) -> None:
        """Begin to ask for identities; `IdentitiesResolved` follows, with a failure where there is no answer."""

    def ask_status(self, did: str, origin: str) -> None:
        """Begin to ask a host for the status of an account; `StatusTold` follows."""


class Timer(Protocol):
    """One timer."""

    def set(self, at_us: int) -> None:
        """Fire at this time or soon after; replaces what was set before."""


class LogSink(Protocol):
    """The structured log."""

    def write(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        """Write one line. Record content is never in it."""
