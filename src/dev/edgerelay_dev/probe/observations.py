"""What the answers of `/state` show over time: lives of objects, lives of sockets, times of flushes.

Pure: answers and the times at which they came go in, lines for a person and a report come out. Unknown fields of an
answer are ignored, fields of newer relays are used where they are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import quantiles
from typing import Any, Final

__all__ = ["MAX_SAMPLES", "Life", "Observations", "UpstreamSocket", "new_samples", "spread", "utc"]

_US: Final = 1_000_000
MAX_SAMPLES: Final = 100_000
"""Flush times kept: those of half a day."""
MAX_RECORDS: Final = 1_000
"""Lives, sockets, changes and failures kept, of each the first ones: more of them say nothing new."""

State = Mapping[str, Any]


@dataclass(slots=True)
class Life:
    """One construction of RelayState: from its start until it was seen for the last time."""

    started_us: int
    isolate: str
    version: str
    seen_until: float

    @property
    def age_s(self) -> float:
        """Seconds that it lived at least."""
        return self.seen_until - self.started_us / _US


@dataclass(slots=True)
class UpstreamSocket:
    """One connection of RelayState to its host."""

    started_us: int
    """Of the life that it belongs to."""

    connection: int
    since_us: int
    seen_until: float
    ended: str = ""
    """Why; empty if it was still there, or ended with its object."""

    @property
    def age_s(self) -> float:
        """Seconds that it lived at least."""
        return self.seen_until - self.since_us / _US


@dataclass(slots=True)
class Observations:
    """Everything seen so far."""

    lives: list[Life] = field(default_factory=list)
    sockets: list[UpstreamSocket] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    answer_ms: list[float] = field(default_factory=list)
    _state: State = field(default_factory=dict)
    _flush_ms: list[float] = field(default_factory=list)

    @property
    def present(self) -> dict[str, Any]:
        """Which relay it is at the moment."""
        return {name: self._state.get(name) for name in ("version", "started_us", "isolate")}

    def answered(self, state: State, at: float, took_ms: float) -> list[str]:
        """An answer came; returns what it shows that is new."""
        before, self._state = self._state, state
        _keep(self.answer_ms, took_ms, MAX_SAMPLES)
        lines = [self._change(name, before, state, at) for name in ("version", "isolate", "environment", "verify")]
        lines.append(self._see_life(state, at))
        lines.append(self._see_socket(before, state, at))
        same_life = before.get("started_us") == state["started_us"]
        samples = state.get("flush_ms", [])
        for sample in new_samples(before.get("flush_ms", []) if same_life else [], samples):
            _keep(self._flush_ms, sample, MAX_SAMPLES)
        return [line for line in lines if line]

    def failed(self, problem: str, at: float) -> None:
        """No answer came, or one that says that the relay is not well."""
        _keep(self.failures, {"at": utc(at), "problem": problem}, MAX_RECORDS)

    def report(self) -> dict[str, Any]:
        """What it all comes to, as JSON."""
        return {
            "relay": {name: self._state.get(name) for name in ("version", "protocol", "environment", "verify")},
            "object": {
                "constructed_anew": max(0, len(self.lives) - 1),
                "longest_s": round(max((life.age_s for life in self.lives), default=0.0), 1),
                "lives": [
                    {"started": utc(x.started_us / _US), "age_s": round(x.age_s, 1), "isolate": x.isolate}
                    | {"version": x.version}
                    for x in self.lives
                ],
            },
            "upstream": {
                "sockets": len(self.sockets),
                "longest_s": round(max((socket.age_s for socket in self.sockets), default=0.0), 1),
                "lives": [
                    {"connection": x.connection, "since": utc(x.since_us / _US), "age_s": round(x.age_s, 1)}
                    | {"ended": x.ended}
                    for x in self.sockets
                ],
            },
            "flush_ms": spread(self._flush_ms),
            "isolate": self._isolates(),
            "buffered_amount": self._buffered_amount(),
            "state_ms": spread(self.answer_ms),
            "changes": self.changes,
            "failures": self.failures,
        }

    def _change(self, name: str, before: State, state: State, at: float) -> str:
        if not before or before.get(name) == state.get(name):
            return ""
        change = {"at": utc(at), "what": name, "before": before.get(name), "after": state.get(name)}
        _keep(self.changes, change, MAX_RECORDS)
        return f"{name} changed from {before.get(name)} to {state.get(name)}"

    def _see_life(self, state: State, at: float) -> str:
        if self.lives and self.lives[-1].started_us == state["started_us"]:
            self.lives[-1].seen_until = at
            return ""
        anew = bool(self.lives)
        life = Life(state["started_us"], state.get("isolate", ""), state.get("version", ""), at)
        _keep(self.lives, life, MAX_RECORDS)
        if not anew:
            return f"RelayState has lived for {life.age_s:.0f} s"
        _keep(self.changes, {"at": utc(at), "what": "object", "after": life.started_us}, MAX_RECORDS)
        return f"RelayState was constructed anew {life.age_s:.0f} s ago"

    def _see_socket(self, before: State, state: State, at: float) -> str:
        upstream, started_us = state["upstream"], state["started_us"]
        known = self.sockets[-1] if self.sockets else None
        same = known and (known.started_us, known.connection) == (started_us, upstream["connection"])
        if upstream["state"] == "live":
            if known and same:
                known.seen_until = at
                return ""
            _keep(
                self.sockets, UpstreamSocket(started_us, upstream["connection"], upstream["since_us"], at), MAX_RECORDS
            )
            return f"the upstream is live, connection {upstream['connection']}"
        if known and same and not known.ended:
            known.ended = upstream["last_problem"] or upstream["state"]
        was = before["upstream"]["state"] if before else ""
        return "" if was == upstream["state"] else f"the upstream is {upstream['state']}: {upstream['last_problem']}"

    def _isolates(self) -> dict[str, Any]:
        """Whether RelayState and the shards run in one interpreter; None where the relay does not tell."""
        own = self._state.get("isolate")
        shards = {shard["name"]: shard.get("isolate") for shard in self._state.get("shards", [])}
        told = [isolate for isolate in shards.values() if isolate]
        return {"relay": own, "shards": shards, "shared": own in told if told else None}

    def _buffered_amount(self) -> bool | None:
        """Whether sockets tell what waits in them; None where the relay does not say, or nobody reads."""
        told = [shard["buffered_amount"] for shard in self._state.get("shards", []) if "buffered_amount" in shard]
        return all(told) if told else None


def new_samples(before: Sequence[float], now: Sequence[float]) -> list[float]:
    """Those at the end of a sliding window that were not in the window before."""
    for count in range(len(now) + 1):
        kept = len(now) - count
        if list(now[:kept]) == list(before[len(before) - kept :]):
            return list(now[kept:])
    return list(now)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Count, median, 99th percentile and maximum."""
    if not values:
        return {"samples": 0}
    cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else [values[0]] * 99
    return {"samples": len(values), "p50": round(cuts[49], 2), "p99": round(cuts[98], 2), "max": round(max(values), 2)}


def utc(at: float) -> str:
    """A time as text, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _keep(records: list[Any], record: Any, limit: int) -> None:
    if len(records) < limit:
        records.append(record)
