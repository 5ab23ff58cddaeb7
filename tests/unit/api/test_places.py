"""Places: what the snapshot of any version tells of its shards."""

from __future__ import annotations

from typing import Any, cast

from edgerelay.api.places import places_of
from edgerelay.api.snapshot import Snapshot
from edgerelay.relay.placement import Place, ShardKind, ShardName
from tests.snapshots import snapshot


def published(*shards: dict[str, Any]) -> Snapshot:
    return cast(Snapshot, {**snapshot(), "shards": list(shards)})


def test_every_shard_is_a_place() -> None:
    assert places_of(snapshot()) == [Place(ShardName(ShardKind.LIVE, "", 0), 3, 60)]


def test_an_older_version_tells_less() -> None:
    taken = published({"name": "replay-oc-2", "clients": 5})
    assert places_of(taken) == [Place(ShardName(ShardKind.REPLAY, "oc", 2), 5, 0)]


def test_names_of_another_version_are_left_out() -> None:
    assert places_of(published({"name": "jet~1", "clients": 5})) == []
