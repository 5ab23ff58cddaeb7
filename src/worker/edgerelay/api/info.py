"""`/` and `/state`: what this relay is, and how it is doing."""

from __future__ import annotations

from edgerelay.api.message import Response, json_response
from edgerelay.api.snapshot import Snapshot
from edgerelay.api.subscribe import PATH as SUBSCRIBE

__all__ = ["answer_info", "answer_state"]


def answer_info(snapshot: Snapshot) -> Response:
    """Service information for people and programs that come across this address."""
    log = snapshot["hot_log"]
    return json_response(
        {
            "name": "EdgeRelay",
            "description": "an AT Protocol relay",
            "version": snapshot["version"],
            "endpoints": [SUBSCRIBE, "/health", "/xrpc/_health", "/state"],
            "retention": {"days": snapshot["retention_days"], "oldest_seq": log["oldest_seq"]},
            "cursor": {"oldest": log["oldest_seq"], "newest": log["last_seq"], "unit": "unix microseconds"},
            "verify": snapshot["verify"],
        }
    )


def answer_state(snapshot: Snapshot) -> Response:
    """Everything that is published."""
    return json_response(snapshot, headers={"cache-control": "no-store"})
