"""A published snapshot of a relay that does its work, and what may differ from it."""

from __future__ import annotations

from typing import Any, cast

from edgerelay.api.snapshot import Snapshot

__all__ = ["LAST_SEQ", "NOW_US", "OLDEST_SEQ", "snapshot"]

NOW_US = 1_795_000_000_000_000
OLDEST_SEQ = NOW_US - 600_000_000
LAST_SEQ = NOW_US - 20_000


def snapshot(*, oldest_seq: int = OLDEST_SEQ, last_seq: int = LAST_SEQ, **upstream: Any) -> Snapshot:
    """Make a snapshot whose subscription differs by `upstream`."""
    taken: Snapshot = {
        "version": "1.2.3",
        "protocol": 1,
        "now_us": NOW_US,
        "started_us": NOW_US - 3_600_000_000,
        "isolate": "one",
        "environment": "develop",
        "verify": "strict",
        "retention_days": 62,
        "events": 1_000,
        "bytes": 5_400_000,
        "clock_behind": 0,
        "upstream": {
            "url": "wss://pds.test",
            "kind": "pds",
            "state": "live",
            "since_us": NOW_US - 1_800_000_000,
            "away_us": 0,
            "pauses": [],
            "last_problem": "",
            "connection": 1,
            "epoch": 0,
            "low": 1_000,
            "done": [[1_002, 1_005]],
            "newest_time_us": NOW_US - 50_000,
            "lag_us": 50_000,
            "in_flight": 1,
            "waiting_accounts": 1,
            "frames": 1_010,
            "bytes": 5_500_000,
            "repeats": 1,
            "resets": 0,
            "sockets": 1,
            "rejects": {"stale_rev": 4},
            "tolerated": {"bad_tree": 6},
        },
        "identity": {"directory_down": False, "waiting": 2, "refused": 1, "asked": 40, "failed": 3},
        "accounts": {"chain_breaks": 4, "restated": 5},
        "hot_log": {
            "oldest_seq": oldest_seq,
            "last_seq": last_seq,
            "missing_up_to": oldest_seq - 1,
            "batches": 100,
            "bytes": 5_600_000,
            "ring_bytes": 2_000_000,
        },
        "archive": {
            "archived_seq": last_seq - 30_000_000,
            "waiting_bytes": 900_000,
            "groups": 40,
            "bytes": 3_000_000,
            "failures": 1,
            "last_problem": "",
            "segments": {
                "hours": 3,
                "oldest_seq": oldest_seq,
                "newest_seq": last_seq,
                "firehose_objects": 4,
                "firehose_bytes": 900_000,
                "jetstream_objects": 5,
                "jetstream_bytes": 300_000,
                "quarantined": 1,
                "stuck_hours": 1,
            },
        },
        "storage": {
            "rows_written": 110,
            "rows_per_s": 25.0,
            "flushes": 100,
            "failures": 0,
            "checkpoint_seq": oldest_seq,
            "schema_version": 2,
        },
        "shards": [
            {
                "name": "live-0",
                "region": "weur",
                "state": "open",
                "clients": 3,
                "acked_seq": last_seq,
                "isolate": "an isolate",
                "buffered_amount": True,
                "behind": 1,
                "deliveries_per_s": 60,
                "deliveries": 3_000,
                "prepared": 1_000,
            }
        ],
        "endings": {"gone": 4, "too_slow": 1},
        "flush_ms": [1.25, 2.5],
    }
    assert set(upstream) <= set(taken["upstream"])
    return cast(Snapshot, {**taken, "upstream": {**taken["upstream"], **upstream}})
