"""Which shard a subscriber should be brought to.

The answer is a list of names to try, best first, made from the table that RelayState publishes. The table is a second
old, or older if RelayState does not answer: it tells where to begin, and the shard's own refusal tells when to go on.
That is why the list holds shards that seem full, and new ones, which no table knows.

A name says everything about a shard, so that nothing has to be stored of it: `live-weur-0` is the first one of western
Europe, `replay-weur-0` serves those who read far in the past, and `live-0` serves where no region is known.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Final, NamedTuple, Self

from edgerelay.relay.cursor import Start

__all__ = ["Capacity", "Place", "ShardKind", "ShardName", "kind_for", "places_to_try"]

TRIES: Final = 4
"""Names that one subscriber is offered. Each may take as long as a shard may take to answer."""

SPREAD_LOAD: Final = 0.8
"""Share of its capacity up to which a shard is filled before a new one is begun: the table is not quite the present."""

_NAME: Final = re.compile(r"(live|replay)(?:-([a-z]+))?-(\d{1,4})")


class ShardKind(StrEnum):
    """What a shard is for."""

    LIVE = "live"

    REPLAY = "replay"
    """For readers who begin far in the past; they stay when they have caught up."""


class ShardName(NamedTuple):
    """The name of a shard, taken apart."""

    kind: ShardKind
    region: str
    """A region of the platform, or empty."""

    number: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take a name apart.

        Raises:
            ValueError: this is not one of ours.
        """
        found = _NAME.fullmatch(text)
        if found is None:
            raise ValueError(f"not a shard's name: {text[:40]!r}")
        return cls(ShardKind(found[1]), found[2] or "", int(found[3]))

    def __str__(self) -> str:
        return "-".join(filter(None, (self.kind, self.region, str(self.number))))


class Place(NamedTuple):
    """One shard with readers, as the table has it."""

    name: ShardName
    clients: int
    deliveries_per_s: int


class Capacity(NamedTuple):
    """What one shard carries, and how many there may be."""

    clients: int
    deliveries_per_s: int
    shards_per_region: int
    """Of each kind."""

    shards: int
    """Over all: RelayState feeds each of them."""

    def load(self, place: Place) -> float:
        """How full a shard is, 1 being all of it."""
        return max(place.clients / self.clients, place.deliveries_per_s / self.deliveries_per_s)


def kind_for(start: Start, now_us: int, deep_us: int) -> ShardKind:
    """What kind of shard a reader with this start belongs to; `deep_us` is how far back the live ones reach."""
    is_deep = start.cursor is not None and start.cursor < now_us - deep_us
    return ShardKind.REPLAY if is_deep else ShardKind.LIVE


def places_to_try(
    table: Iterable[Place], kind: ShardKind, region: str, capacity: Capacity, silent: Collection[str] = ()
) -> list[ShardName]:
    """The shards to try, best first: near ones with room, a new one, near ones that seem full, then those far away.

    `silent` names shards that did not answer lately; they come last.
    """
    places = sorted(table, key=capacity.load)
    known = {place.name for place in places}
    alike = [place for place in places if place.name.kind is kind]
    near = [place for place in alike if place.name.region == region]
    names = [place.name for place in near if capacity.load(place) < SPREAD_LOAD]
    if len(known) < capacity.shards:
        new = (ShardName(kind, region, number) for number in range(capacity.shards_per_region))
        names += [name for name in new if name not in known]
    names += [place.name for place in near if capacity.load(place) >= SPREAD_LOAD]
    names += [place.name for place in alike if place.name.region != region]
    return sorted(names, key=lambda name: str(name) in silent)[:TRIES]
