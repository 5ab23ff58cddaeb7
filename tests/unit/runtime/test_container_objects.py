"""Containers in the bucket, read by ranges: the index first, then one block."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgerelay.archive.codec import ZlibCodec
from edgerelay.archive.container_errors import ContainerCorrupt, ContainerTruncated
from edgerelay.archive.firehose_block import open_batch
from edgerelay.archive.object_names import ObjectName
from edgerelay.runtime.container_objects import open_container, open_named, read_block, read_blocks, read_index
from edgerelay.runtime.objects import ObjectMissingError
from tests.coroutines import finished
from tests.histories import Past


@pytest.fixture
def past() -> Iterator[Past]:
    created = Past()
    created.write(*[1] * 12)
    created.archive_all()
    yield created
    created.close()


def test_the_blocks_of_the_index_are_the_events(past: Past) -> None:
    (key,) = past.objects.objects
    index, size_bytes = finished(open_container(past.objects, key))
    assert size_bytes == len(past.objects.objects[key])
    assert index == finished(read_index(past.objects, key))
    assert len(index.blocks) > 1
    codec = ZlibCodec()
    found = [open_batch(finished(read_block(past.objects, key, each)), {codec.id: codec}) for each in index.blocks]
    assert [event for batch in found for event in batch.split()] == past.events


def test_an_object_that_is_cut_short_or_gone_is_named(past: Past) -> None:
    (key,) = past.objects.objects
    past.objects.objects[key] = past.objects.objects[key][:-1]
    with pytest.raises(ContainerTruncated):
        finished(read_index(past.objects, key))
    with pytest.raises(ObjectMissingError):
        finished(read_index(past.objects, "groups/none"))


def test_all_blocks_are_read_at_once(past: Past) -> None:
    (key,) = past.objects.objects
    index, _ = finished(open_named(past.objects, ObjectName.parse(key)))
    reads = past.objects.reads
    blocks = list(finished(read_blocks(past.objects, key, index)))
    assert past.objects.reads == reads + 1
    assert blocks == [finished(read_block(past.objects, key, each)) for each in index.blocks]


def test_an_object_that_is_not_what_its_name_says_is_refused(past: Past) -> None:
    (key,) = past.objects.objects
    name = ObjectName.parse(key)
    other = name._replace(last_seq=name.last_seq + 1)
    past.objects.objects[other.key] = past.objects.objects[key]
    with pytest.raises(ContainerCorrupt, match="holds"):
        finished(open_named(past.objects, other))
