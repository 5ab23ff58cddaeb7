"""Lines of real frames: of each group an object of its range, with what `render` makes of its frames."""

from __future__ import annotations

from edgerelay.archive.batch import BatchBuilder
from edgerelay.archive.block import unseal
from edgerelay.archive.codec import ZlibCodec
from edgerelay.archive.container_index import Stream
from edgerelay.archive.group import GroupWriter
from edgerelay.archive.jetstream import render
from edgerelay.archive.object_names import Folder
from edgerelay.runtime.container_objects import open_named, read_blocks
from edgerelay.runtime.line_writer import LineWriter
from edgerelay.runtime.memory import MemoryObjects
from tests.coroutines import finished
from tests.oracle.frames import account, did
from tests.packing import HOUR_US

CODEC = ZlibCodec()
DID = did(1)


def test_the_lines_of_a_group_stand_beside_it() -> None:
    objects, pauses, writer, frames = MemoryObjects(), list[int](), GroupWriter(CODEC), list[bytes]()
    prev_seq = HOUR_US
    for _ in range(3):
        builder = BatchBuilder(prev_seq)
        for seq in range(prev_seq + 10, prev_seq + 50, 10):
            frames.append(account(seq, DID))
            builder.add(seq, "#account", DID, (), frames[-1])
            prev_seq = seq
        writer.add(builder.build([], b""))
    group = writer.finish()
    objects.objects[group.name.key] = group.data

    async def pause() -> None:
        pauses.append(1)

    lines = LineWriter(objects, CODEC, pause)
    name = finished(lines.write(group.name))
    assert name == group.name._replace(folder=Folder.JETSTREAM)
    index, _ = finished(open_named(objects, name))
    raw = [unseal(block, {CODEC.id: CODEC}) for block in finished(read_blocks(objects, name.key, index))]
    assert b"".join(raw).splitlines() == [line.json for frame in frames for line in render(frame).lines]
    assert (index.stream, len(index.blocks), len(pauses)) == (Stream.JETSTREAM, 3, 3)
    stored = dict(objects.objects)
    assert finished(lines.write(group.name)) == name
    assert objects.objects == stored
