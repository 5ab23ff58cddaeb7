"""One host that the relay reads: its subscription, its position, and what arrived from it.

Owns everything that is kept for each host. What becomes of an event after it arrived is `relay`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from edgerelay.atproto.frames import ErrorFrame
from edgerelay.atproto.messages import Info
from edgerelay.atproto.origin import origin_of_host_url
from edgerelay.config import Settings
from edgerelay.relay.intake import Candidate, Intake, Repeat, ResetProven
from edgerelay.relay.position import Position
from edgerelay.relay.rejections import Refused, Rejections
from edgerelay.relay.restored import Restored
from edgerelay.relay.upstream import Upstream, UpstreamPolicy

__all__ = ["Catch", "Host", "HostCounts"]


class HostCounts:
    """What arrived from a host since the object started."""

    __slots__ = ("bytes", "frames", "infos", "repeats", "resets", "sockets")

    def __init__(self) -> None:
        self.frames = 0
        self.bytes = 0
        self.repeats = 0
        self.resets = 0
        self.infos = 0
        self.sockets = 0


class Catch(NamedTuple):
    """What a handful of frames turned out to be."""

    candidates: list[Candidate]
    refused: list[Refused]
    notes: list[Info]
    ended: ErrorFrame | ResetProven | None
    """Set if the connection is of no more use; frames after it were not looked at."""


class Host:
    """One upstream host."""

    def __init__(self, url: str, upstream: Upstream, position: Position, intake: Intake, *, from_live: bool) -> None:
        """`from_live` tells whether a host that was never read is read from its live edge."""
        self.url = url
        self.kind = ""
        """`pds` or `relay`; empty until it is known."""

        self.upstream = upstream
        self.position = position
        self.counts = HostCounts()
        self.rejects = Rejections()
        self.asked_cursor: int | None = None
        """What the present connection was opened with."""

        self._intake = intake
        self._from_live = from_live

    @classmethod
    def of(
        cls,
        settings: Settings,
        restored: Restored,
        is_news: Callable[[str, str], bool],
        random: Callable[[], float],
        now_us: int,
    ) -> Host:
        """The host that the settings name, where the relay before left it."""
        policy = UpstreamPolicy(
            settings.connect_timeout_s, settings.silence_s, settings.healthy_s, settings.backoff_cap_s
        )
        upstream = Upstream(policy, random, now_us, connection=restored.connection)
        if not settings.upstream:
            upstream.stop("no UPSTREAM is set", now_us)
        from_live = settings.upstream_start == "live"
        position = restored.position()
        intake = Intake(position, is_news, strict=settings.verify != "lenient", from_live=from_live)
        return cls(settings.upstream, upstream, position, intake, from_live=from_live)

    @property
    def origin(self) -> str:
        """Where its other endpoints are, `https://host[:port]`."""
        return origin_of_host_url(self.url)

    @property
    def cursor(self) -> int | None:
        """Where to read on; None for the live edge of a host that was never read."""
        return None if self._from_live and self.position.untouched else self.position.low

    def connecting(self, now_us: int) -> tuple[int, int | None]:
        """An attempt begins. Returns the connection's number and cursor."""
        self.asked_cursor = self.cursor
        return self.upstream.connecting(now_us), self.asked_cursor

    def opened(self, now_us: int) -> None:
        """The socket is open."""
        self.counts.sockets += 1
        self._intake.connected()
        self.upstream.opened(now_us)

    def catch(self, frames: list[bytes], now_us: int) -> Catch:
        """Look at frames in the order of their arrival."""
        self.upstream.heard(now_us)
        catch = Catch([], [], [], None)
        for raw in frames:
            self.counts.frames += 1
            self.counts.bytes += len(raw)
            arrival = self._intake.take(raw)
            match arrival:
                case Candidate():
                    catch.candidates.append(arrival)
                case Repeat():
                    self.counts.repeats += 1
                case Refused():
                    self.rejects.add(arrival, raw, now_us)
                    catch.refused.append(arrival)
                case Info():
                    self.counts.infos += 1
                    catch.notes.append(arrival)
                case _:
                    return catch._replace(ended=arrival)
        return catch

    def restart(self) -> None:
        """The host's numbers began anew."""
        self.counts.resets += 1
        self.position.restart()
        self._intake.connected()
