"""One subscription to a host: when to connect, when to wait, when to give up on a silent socket.

            start / wake            opened                     closed, failed, silent
    DISCONNECTED ──────▶ CONNECTING ──────▶ LIVE ──────────────────────────▶ BACKING_OFF
                              │               │                                   │ due
                              └── failed ─────┴──▶ BACKING_OFF ───────────────────┴──▶ CONNECTING
    any ── pause(reason) ──▶ PAUSED ── resume(reason), nothing else pauses ──▶ CONNECTING
    any ── stop ──▶ STOPPED

Rules:
1. Every connection has a number; what arrives under an older one is ignored.
2. A pause has reasons, and lasts until each of them is gone, whatever happens to the socket meanwhile.
3. Pauses between attempts grow by a factor of two with jitter up to a cap, and start small again only after a
   connection has lived for a healthy time: a host that accepts and closes at once is not healthy.
4. A socket that is silent for too long is replaced. It may be dead without a close event, and connecting anew at the
   position loses nothing.

It decides about the connection only; frames and positions are none of its business.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

__all__ = ["NOT_IMPLEMENTED_PAUSE_S", "PauseReason", "Upstream", "UpstreamPolicy", "UpstreamState"]

_US: Final = 1_000_000
BACKOFF_BASE_S: Final = 1
"""The first pause between two attempts, in seconds."""

BACKOFF_DOUBLINGS: Final = 16
"""More doublings than any cap needs; keeps the power small."""

NOT_IMPLEMENTED_PAUSE_S: Final = 3_600
"""Pause after HTTP 501, to which a client must not answer with retries (XRPC, "Event streams")."""


class UpstreamState(StrEnum):
    """Where the subscription stands."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    LIVE = "live"
    BACKING_OFF = "backing_off"
    PAUSED = "paused"
    STOPPED = "stopped"


class PauseReason(StrEnum):
    """Why the relay itself wants no events for now."""

    ARCHIVE = "archive"
    """What was received cannot be archived; the hot log is full."""

    IDENTITY = "identity"
    """Too many events wait for their accounts' identities, or the directory of identities is down."""

    RECOVERY = "recovery"
    """Whether the archive holds more than what is stored was not asked yet."""

    SKEW = "skew"
    """Our clock and the upstream's differ too much to give out numbers."""

    STORAGE = "storage"
    """The hot log cannot be written."""


class UpstreamPolicy(NamedTuple):
    """The times that govern one subscription."""

    connect_timeout_s: int
    silence_s: int
    healthy_s: int
    backoff_cap_s: int


class Upstream:
    """The state of one subscription. Methods tell it what happened; `connect_due` and `expired` say what to do."""

    def __init__(
        self, policy: UpstreamPolicy, random: Callable[[], float], now_us: int, *, connection: int = 0
    ) -> None:
        self._policy = policy
        self._random = random
        self._pauses: dict[PauseReason, int] = {}
        """When each pause ends by itself; 0 if only `resume` ends it."""

        self._failures = 0
        self._due_us = now_us
        self._heard_us = now_us
        self.connection = connection
        self.state = UpstreamState.DISCONNECTED
        self.since_us = now_us
        self.last_problem = ""
        self._away_since_us = now_us

    @property
    def pauses(self) -> tuple[PauseReason, ...]:
        """The reasons of the present pause, in a stable order."""
        return tuple(sorted(self._pauses))

    @property
    def is_open(self) -> bool:
        """There is a socket, or one is being opened."""
        return self.state in (UpstreamState.CONNECTING, UpstreamState.LIVE)

    def away_us(self, now_us: int) -> int:
        """How long there has been no connection that lived for a healthy time; 0 while there is one of any age."""
        return 0 if self.state is UpstreamState.LIVE else now_us - self._away_since_us

    def shift_clock(self, by_us: int) -> None:
        """The clock was set: what is due, or was heard, is so many microseconds later by it."""
        self._pauses = {reason: until_us and until_us + by_us for reason, until_us in self._pauses.items()}
        self._due_us += by_us
        self._heard_us += by_us
        self._away_since_us += by_us
        self.since_us += by_us

    def wake_us(self) -> int | None:
        """When the passing of time alone will matter; None if never."""
        match self.state:
            case UpstreamState.DISCONNECTED | UpstreamState.BACKING_OFF:
                return self._due_us
            case UpstreamState.CONNECTING:
                return self._heard_us + self._policy.connect_timeout_s * _US
            case UpstreamState.LIVE:
                return self._heard_us + self._policy.silence_s * _US
            case UpstreamState.PAUSED:
                return min([until_us for until_us in self._pauses.values() if until_us], default=None)
            case _:
                return None

    def connect_due(self, now_us: int) -> bool:
        """It is time for an attempt; the caller opens a socket and calls `connecting`."""
        return self.state in (UpstreamState.DISCONNECTED, UpstreamState.BACKING_OFF) and now_us >= self._due_us

    def expired(self, now_us: int) -> str:
        """Why the present socket must be given up (`connect_timeout`, `silence`), or an empty text."""
        wake_us = self.wake_us()
        if not self.is_open or wake_us is None or now_us < wake_us:
            return ""
        return "silence" if self.state is UpstreamState.LIVE else "connect_timeout"

    def connecting(self, now_us: int) -> int:
        """An attempt begins. Returns the number of the new connection."""
        self.connection += 1
        self._heard_us = now_us
        self._enter(UpstreamState.CONNECTING, now_us)
        return self.connection

    def opened(self, now_us: int) -> None:
        """The socket is open."""
        self._heard_us = now_us
        self._enter(UpstreamState.LIVE, now_us)

    def heard(self, now_us: int) -> None:
        """Something arrived on the open socket."""
        self._heard_us = now_us

    def lost(self, problem: str, now_us: int, *, retry_after_s: int = 0) -> None:
        """The socket closed, or could not be opened. `retry_after_s` is the least pause that the host asked for."""
        self._failures = 0 if self._is_healthy(now_us) else self._failures
        self.last_problem = problem
        self._due_us = now_us + max(self._backoff_us(), retry_after_s * _US)
        self._failures += 1
        self._enter(UpstreamState.BACKING_OFF, now_us)

    def reconnect(self, problem: str, now_us: int) -> None:
        """We close the socket ourselves, to go on at once at another cursor."""
        self.last_problem = problem
        self._due_us = now_us
        self._enter(UpstreamState.DISCONNECTED, now_us)

    def pause(self, reason: PauseReason, now_us: int, *, for_us: int = 0) -> None:
        """Want no events until `resume` with the same reason, or until so much time has passed."""
        self._pauses[reason] = now_us + for_us if for_us else 0
        if self.state is not UpstreamState.STOPPED:
            self._enter(UpstreamState.PAUSED, now_us)

    def resume(self, reason: PauseReason, now_us: int) -> None:
        """A reason to pause is gone."""
        self._pauses.pop(reason, None)
        if not self._pauses and self.state is UpstreamState.PAUSED:
            self._due_us = max(now_us, self._due_us)
            self._enter(UpstreamState.DISCONNECTED, now_us)

    def end_pauses(self, now_us: int) -> None:
        """Resume from the pauses that are over."""
        for reason, until_us in list(self._pauses.items()):
            if until_us and now_us >= until_us:
                self.resume(reason, now_us)

    def stop(self, problem: str, now_us: int) -> None:
        """Never connect again in this run."""
        self.last_problem = problem
        self._enter(UpstreamState.STOPPED, now_us)

    def _backoff_us(self) -> int:
        """Half of the pause is fixed and half is chance, so that relays do not return to a host in step."""
        pause_s = min(self._policy.backoff_cap_s, BACKOFF_BASE_S * 2 ** min(self._failures, BACKOFF_DOUBLINGS))
        return int(pause_s * _US * (0.5 + self._random() / 2))

    def _is_healthy(self, now_us: int) -> bool:
        return self.state is UpstreamState.LIVE and now_us - self.since_us >= self._policy.healthy_s * _US

    def _enter(self, state: UpstreamState, now_us: int) -> None:
        if self._pauses and state is not UpstreamState.STOPPED:
            state = UpstreamState.PAUSED
        if self._is_healthy(now_us):
            self._away_since_us = now_us
        if state is not self.state:
            self.state = state
            self.since_us = now_us
