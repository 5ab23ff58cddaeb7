"""Ends the Worker's process, RelayState or a shard, at random moments."""

from __future__ import annotations

import threading
import time
from random import Random
from types import TracebackType
from typing import Self
from urllib.parse import quote
from urllib.request import urlopen

from relay_runs import LIMIT_S, state_of

from edgerelay_dev.offline.workerd import RelayProcess

__all__ = ["Blows"]


class Blows:
    """Deals blows in a thread until all are dealt; leaving waits for that. The relay needs `REHEARSAL`."""

    def __init__(self, relay: RelayProcess, count: int, seconds: float, chance: Random) -> None:
        self._relay = relay
        self._moments_s = sorted(chance.uniform(0, seconds) for _ in range(count))
        self._chance = chance
        self._thread = threading.Thread(target=self._deal_all)
        self.dealt: list[str] = []
        """What was ended: `process`, `hub`, `shard`."""

    @property
    def is_dealing(self) -> bool:
        """Whether there are blows to come."""
        return self._thread.is_alive()

    def _deal_all(self) -> None:
        started = time.monotonic()
        for moment_s in self._moments_s:
            time.sleep(max(0.0, started + moment_s - time.monotonic()))
            self._relay.wait_until_answering()
            self.dealt.append(self._deal())

    def _deal(self) -> str:
        what = self._chance.choice(("process", "hub", "shard"))
        if what == "process":
            self._relay.kill_workerd()
        elif what == "hub":
            self._rehearse("abort")
        else:
            self._rehearse("end_shard", self._chance.choice(state_of(self._relay)["shards"])["name"])
        return what

    def _rehearse(self, action: str, argument: str = "") -> None:
        with urlopen(f"{self._relay.worker_url}/rehearsal/{action}?argument={quote(argument)}", timeout=LIMIT_S):
            pass

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.join()
        if len(self.dealt) < len(self._moments_s) and error is None:
            raise AssertionError(f"{len(self.dealt)} of {len(self._moments_s)} blows could be dealt")
