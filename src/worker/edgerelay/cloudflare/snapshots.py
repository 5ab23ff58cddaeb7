"""The snapshot that RelayState publishes, kept for all requests of this isolate.

Whoever answers with it wants the present one, or to know why there is none. Whoever places a subscriber takes the last
one, however old, and waits for it no longer than a moment: subscribers are let in while RelayState is away.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import js
from pyodide.ffi import JsException

from edgerelay.api.snapshot import Snapshot
from edgerelay.cloudflare.log import JsonLog
from edgerelay.errors import InvariantError

__all__ = ["Snapshots"]

FRESH_MS: Final = 1_000
"""How long a snapshot is used, in milliseconds."""

WAIT_S: Final = 2.0
"""Seconds that a subscriber waits for RelayState to say where there is room."""

AWAY_MS: Final = 5_000
"""Milliseconds for which RelayState is not asked where to place somebody, after it did not answer."""


class _Kept:
    """What outlives a request."""

    snapshot: Snapshot | None = None
    taken_ms = 0.0
    asked_ms = 0.0
    away_until_ms = 0.0


_kept = _Kept()


class Snapshots:
    """The snapshot, from within one request."""

    def __init__(self, relay: Any) -> None:
        """`relay` is the stub of RelayState."""
        self._relay = relay

    async def present(self) -> Snapshot:
        """The snapshot, a second old at most.

        Raises:
            JsException, OSError: RelayState does not answer.
            InvariantError: RelayState refused to start.
        """
        if _kept.snapshot is None or js.Date.now() - _kept.taken_ms > FRESH_MS:
            _kept.asked_ms = js.Date.now()
            snapshot = json.loads(await self._relay.snapshot())
            if "refusal" in snapshot:
                raise InvariantError(snapshot["refusal"])
            _kept.snapshot, _kept.taken_ms = snapshot, js.Date.now()
        return _kept.snapshot

    async def last(self) -> Snapshot | None:
        """The last snapshot that there was, a present one if it comes soon; None if there never was one."""
        now_ms = js.Date.now()
        is_asked = _kept.snapshot is not None and now_ms - _kept.asked_ms <= FRESH_MS
        if is_asked or now_ms < _kept.away_until_ms:
            return _kept.snapshot
        try:
            return await asyncio.wait_for(self.present(), WAIT_S)
        except (JsException, OSError, InvariantError, TimeoutError) as error:
            _kept.away_until_ms = js.Date.now() + AWAY_MS
            JsonLog("worker", "error").write("error", "relay_state", {"problem": str(error)[:500]})
            return _kept.snapshot
