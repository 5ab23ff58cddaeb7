"""Manifests: what lies in the archive of one closed hour, as an object beside it.

    manifests/2026/11/23/14.json
    {"version":1,"objects":[{"key":…,"bytes":…,"blocks":…,"events":…,"prev_seq":…}],"quarantined":["groups/…"]}

Everything in it follows from the objects themselves. It is for whoever does not want to list and open them all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from edgerelay.archive.container_index import ContainerIndex
from edgerelay.archive.object_names import ObjectName, hour_folder

__all__ = ["MANIFESTS", "MANIFEST_VERSION", "ObjectFacts", "encode_manifest", "manifest_key"]

MANIFEST_VERSION: Final = 1

MANIFESTS: Final = "manifests"
"""The folder that they lie in."""


class ObjectFacts(NamedTuple):
    """What is worth knowing of an object before it is read."""

    key: str
    bytes: int
    blocks: int
    events: int
    """Of the firehose; of the lines, how many there are."""

    prev_seq: int
    """Number of the stream's last event before."""

    @classmethod
    def of(cls, name: ObjectName, index: ContainerIndex, size_bytes: int) -> ObjectFacts:
        """The facts of an object with this index."""
        events = sum([block.facts.contents.event_count for block in index.blocks])
        return cls(name.key, size_bytes, len(index.blocks), events, index.prev_seq)

    def row(self) -> dict[str, Any]:
        """The facts without the key."""
        facts = self._asdict()
        del facts["key"]
        return facts


def manifest_key(hour: int) -> str:
    """The name of an hour's manifest; `hour` is counted from 1970."""
    return f"{hour_folder(MANIFESTS, hour)}.json"


def encode_manifest(objects: Sequence[ObjectFacts], quarantined: Sequence[str]) -> bytes:
    """The manifest of some objects, and of the quarantined groups of the hour."""
    listed = [each._asdict() for each in objects]
    manifest = {"version": MANIFEST_VERSION, "objects": listed, "quarantined": list(quarantined)}
    return json.dumps(manifest, separators=(",", ":")).encode()
