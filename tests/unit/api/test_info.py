"""`/` and `/state`."""

from __future__ import annotations

import json

from edgerelay.api.blob_index import BLOB_INDEX_PATH
from edgerelay.api.blobs import BLOB_PATHS
from edgerelay.api.info import answer_info, answer_state
from edgerelay.api.order import ORDERS
from edgerelay.api.query import QUERIES
from edgerelay.api.reindex import REINDEX_PATH
from edgerelay.api.router import ROUTES
from edgerelay.api.subscribe import STREAMS
from tests.snapshots import LAST_SEQ, OLDEST_SEQ, snapshot


class TestInfo:
    def test_what_it_says(self) -> None:
        response = answer_info(snapshot())
        body = json.loads(response.body)
        assert response.status == 200
        assert (body["name"], body["version"], body["verify"]) == ("EdgeRelay", "1.2.3", "strict")
        assert body["retention"] == {"oldest_seq": OLDEST_SEQ, "seconds": 600}
        assert body["cursor"] == {"oldest": OLDEST_SEQ, "newest": LAST_SEQ, "unit": "unix microseconds"}

    def test_it_names_every_endpoint_but_itself(self) -> None:
        endpoints = json.loads(answer_info(snapshot()).body)["endpoints"]
        others = {*QUERIES, *ORDERS, *BLOB_PATHS, BLOB_INDEX_PATH, REINDEX_PATH}
        assert sorted(endpoints) == sorted({*STREAMS, *ROUTES, *others} - {"/"})

    def test_a_relay_without_events(self) -> None:
        body = json.loads(answer_info(snapshot(oldest_seq=0, last_seq=0)).body)
        assert (body["cursor"]["oldest"], body["cursor"]["newest"]) == (0, 0)

    def test_it_does_not_say_whom_it_reads(self) -> None:
        assert b"pds.test" not in answer_info(snapshot()).body


def test_the_state_is_the_snapshot_and_kept_by_no_cache() -> None:
    taken = snapshot(last_problem="bücher")
    response = answer_state(taken)
    assert (response.status, json.loads(response.body)) == (200, taken)
    assert response.headers["cache-control"] == "no-store"
