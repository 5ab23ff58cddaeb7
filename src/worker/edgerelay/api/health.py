"""`/health`: whether this relay does its work, and if not, why.

200 means that events arrive, or would if there were any, and that they are stored. A pause, a connection that has been
away for longer than a moment, or a storage that fails is 503 with its reasons.
"""

from __future__ import annotations

from typing import Final

from edgerelay.api.message import Response, json_response
from edgerelay.api.snapshot import Snapshot

__all__ = ["answer_health", "problems"]

AWAY_US: Final = 60_000_000
"""How long the upstream may be away, in microseconds, before that is worth an alarm: restarts of hosts take less."""


def problems(snapshot: Snapshot) -> list[str]:
    """Everything that is wrong now."""
    upstream = snapshot["upstream"]
    found = [f"paused: {reason}" for reason in upstream["pauses"]]
    if upstream["state"] == "stopped" and upstream["url"]:
        found.append(f"stopped: {upstream['last_problem']}")
    elif upstream["state"] in ("backing_off", "connecting", "disconnected") and upstream["away_us"] > AWAY_US:
        found.append(f"upstream {upstream['state']}: {upstream['last_problem']}")
    return found


def answer_health(snapshot: Snapshot) -> Response:
    """The answer to `/health` and `/xrpc/_health`."""
    found = problems(snapshot)
    body = {
        "version": snapshot["version"],
        "status": "error" if found else "ok",
        "problems": found,
        "upstream": snapshot["upstream"]["state"],
        "last_seq": snapshot["hot_log"]["last_seq"],
    }
    return json_response(body, status=503 if found else 200, headers={"cache-control": "no-store"})
