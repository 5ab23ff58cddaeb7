"""The shards of a snapshot, as placing a reader needs them."""

from __future__ import annotations

from edgerelay.api.snapshot import Snapshot
from edgerelay.relay.placement import Place, ShardName

__all__ = ["places_of"]


def places_of(snapshot: Snapshot) -> list[Place]:
    """One place for each shard whose name is of ours; an older RelayState may not tell its deliveries."""
    places = []
    for shard in snapshot["shards"]:
        try:
            name = ShardName.parse(shard["name"])
        except ValueError:
            continue
        places.append(Place(name, shard["clients"], shard.get("deliveries_per_s", 0)))
    return places
