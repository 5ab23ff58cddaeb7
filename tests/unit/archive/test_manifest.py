"""Manifests say what is in an hour."""

from __future__ import annotations

import json

from edgerelay.archive.manifest import ObjectFacts, encode_manifest, manifest_key
from edgerelay.archive.object_names import Folder, ObjectName
from tests.packing import HOUR_US, container_of, firehose_blocks, open_container


def test_a_manifest_lies_in_its_hour() -> None:
    assert manifest_key(HOUR_US // 3_600_000_000) == "manifests/2026/11/23/14.json"


def test_it_says_what_the_objects_say() -> None:
    data = container_of(firehose_blocks())
    index = open_container(data)
    name = ObjectName(Folder.FIREHOSE, index.first_seq, index.last_seq)
    facts = ObjectFacts.of(name, index, len(data))
    assert facts == ObjectFacts(name.key, len(data), 3, 9, HOUR_US)
    assert json.loads(encode_manifest([facts], ["groups/x"])) == {
        "version": 1,
        "objects": [{"key": name.key, "bytes": len(data), "blocks": 3, "events": 9, "prev_seq": HOUR_US}],
        "quarantined": ["groups/x"],
    }
    assert facts.row() == {"bytes": len(data), "blocks": 3, "events": 9, "prev_seq": HOUR_US}
