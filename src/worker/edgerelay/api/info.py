"""`/` and `/state`: what this relay is, and how it is doing."""

from __future__ import annotations

from edgerelay.api.blob_index import BLOB_INDEX_PATH
from edgerelay.api.blobs import BLOB_PATHS
from edgerelay.api.message import Response, json_response
from edgerelay.api.order import ORDERS
from edgerelay.api.query import QUERIES
from edgerelay.api.reindex import REINDEX_PATH
from edgerelay.api.snapshot import Snapshot
from edgerelay.api.subscribe import STREAMS

__all__ = ["answer_info", "answer_state"]


def answer_info(snapshot: Snapshot) -> Response:
    """Service information for people and programs that come across this address."""
    log = snapshot["hot_log"]
    return json_response(
        {
            "name": "EdgeRelay",
            "description": "an AT Protocol relay",
            "version": snapshot["version"],
            "endpoints": [
                *STREAMS,
                "/health",
                "/xrpc/_health",
                "/state",
                *QUERIES,
                *ORDERS,
                *BLOB_PATHS,
                BLOB_INDEX_PATH,
                REINDEX_PATH,
            ],
            "retention": {"oldest_seq": log["oldest_seq"], "seconds": _kept_s(snapshot)},
            "cursor": {"oldest": log["oldest_seq"], "newest": log["last_seq"], "unit": "unix microseconds"},
            "verify": snapshot["verify"],
        }
    )


def _kept_s(snapshot: Snapshot) -> int:
    """How far back cursors reach now; 0 if nothing is kept yet."""
    oldest_seq = snapshot["hot_log"]["oldest_seq"]
    return max(0, snapshot["now_us"] - oldest_seq) // 1_000_000 if oldest_seq else 0


def answer_state(snapshot: Snapshot) -> Response:
    """Everything that is published."""
    return json_response(snapshot, headers={"cache-control": "no-store"})
