"""Everything that an archive can be wrong about is found, and a whole one is found to be whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgerelay.archive.blob_block import open_references
from edgerelay.archive.block import Contents, SealedBlock, seal, unseal
from edgerelay.archive.cid_filter import CidFilter
from edgerelay.archive.container_index import ContainerIndex, Stream
from edgerelay.archive.did_filter import DidFilter
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay_dev.operator.verification import PROBLEMS, Seen, Verification, block_problems, index_problems
from tests.archives import COLLECTIONS, DIDS, Archive, an_event, block_of, history
from tests.coroutines import finished
from tests.oracle import frames
from tests.packing import CODECS, HOUR_US, PLAIN, blob_blocks, container_of, jetstream_blocks, open_container

EVENTS = history(60)


async def verify(archive: Archive) -> Verification:
    verification = Verification(archive.catalogue, CODECS)
    await verification.run(await archive.catalogue.list())
    return verification


def reseal(block: SealedBlock, raw: bytes | None = None, **changed: Any) -> SealedBlock:
    """The same block with other contents, or other facts about them."""
    contents: Contents = block.facts.contents._replace(**changed)
    return seal(unseal(block, CODECS) if raw is None else raw, contents, PLAIN)


class TestWhole:
    def test_groups_and_segments(self) -> None:
        archive = Archive()
        archive.put_history(EVENTS, block_events=5, object_blocks=3)
        archive.put(block_of(EVENTS[:30], HOUR_US), folder=Folder.FIREHOSE)
        archive.put(*jetstream_blocks(), folder=Folder.JETSTREAM)
        archive.put(*blob_blocks(), folder=Folder.BLOBS)
        archive.objects.objects = {
            key: container_of(jetstream_blocks(), Stream.JETSTREAM) if key.startswith("jetstream") else data
            for key, data in archive.objects.objects.items()
        }
        archive.objects.objects = {
            key: container_of(blob_blocks(), Stream.BLOBS) if key.startswith("blobs") else data
            for key, data in archive.objects.objects.items()
        }
        found = finished(verify(archive))
        assert archive.problems == []
        assert found.seen == {
            Stream.FIREHOSE: Seen(5, 13, 60 + 30),
            Stream.JETSTREAM: Seen(1, 2, 1),
            Stream.BLOBS: Seen(1, 1, 2),
        }


class TestStreams:
    def test_each_hole_is_listed(self) -> None:
        archive = Archive()
        names = archive.put_history(EVENTS, block_events=5, object_blocks=2)
        for missing in (names[1], names[3], names[5]):
            del archive.objects.objects[missing]
        finished(verify(archive))
        assert [problem.where for problem in archive.problems] == ["hole in firehose"] * 2
        ends = [(EVENTS[9].seq, EVENTS[19].seq), (EVENTS[29].seq, EVENTS[39].seq)]
        for problem, (after, up_to) in zip(archive.problems, ends, strict=True):
            assert f"behind {after} " in problem.what
            assert f"up to {up_to} " in problem.what

    def test_one_damaged_object_keeps_no_other_from_being_looked_at(self) -> None:
        archive = Archive()
        names = archive.put_history(EVENTS, block_events=5, object_blocks=2)
        objects = archive.objects.objects
        objects[names[0]] = objects[names[0]][:-1]
        objects[names[2]] = objects[names[2]].replace(b"app.bsky", b"app.BSKY", 1)
        del objects[names[4]]
        finished(verify(archive))
        where = [problem.where for problem in archive.problems]
        assert where == [names[0], names[2], "hole in firehose"]

    def test_a_name_that_is_not_the_archives_is_told(self) -> None:
        archive = Archive()
        archive.put(block_of(EVENTS, HOUR_US), key="copy.ers")
        finished(verify(archive))
        [problem] = archive.problems
        assert "no name of an object" in problem.what


class TestIndex:
    BLOCKS = (block_of(EVENTS[:30], HOUR_US), block_of(EVENTS[30:], EVENTS[29].seq))
    DATA = container_of(BLOCKS)
    INDEX = open_container(DATA)
    NAME = ObjectName(Folder.GROUPS, EVENTS[0].seq, EVENTS[-1].seq)

    def test_nothing_is_wrong(self) -> None:
        assert list(index_problems(self.NAME, self.INDEX, self.DATA)) == []

    @pytest.mark.parametrize(
        ("name", "problem"),
        [
            (NAME._replace(last_seq=NAME.last_seq + 1), f"it holds {NAME.first_seq} to {NAME.last_seq}, generation 0"),
            (
                NAME._replace(first_seq=NAME.first_seq - 1),
                f"it holds {NAME.first_seq} to {NAME.last_seq}, generation 0",
            ),
            (NAME._replace(generation=1), f"it holds {NAME.first_seq} to {NAME.last_seq}, generation 0"),
            (NAME._replace(folder=Folder.JETSTREAM), "it holds firehose"),
        ],
    )
    def test_names(self, name: ObjectName, problem: str) -> None:
        assert list(index_problems(name, self.INDEX, self.DATA)) == [problem]

    def test_hours(self) -> None:
        data = container_of([block_of([EVENTS[0], an_event(2 * HOUR_US, DIDS[0])], HOUR_US)])
        index = open_container(data)
        name = ObjectName(Folder.GROUPS, index.first_seq, index.last_seq)
        assert list(index_problems(name, index, data)) == ["it reaches into another hour, where nobody looks for it"]

    def test_headers(self) -> None:
        other = container_of(self.BLOCKS, generation=1)
        assert list(index_problems(self.NAME, self.INDEX, other)) == ["its header and its footer differ"]
        damaged = self.DATA[:9] + bytes([self.DATA[9] ^ 1]) + self.DATA[10:]
        [problem] = index_problems(self.NAME, self.INDEX, damaged)
        assert problem.startswith("its header: ")

    @pytest.mark.parametrize(
        "change",
        [
            lambda index: index._replace(collections=tuple(COLLECTIONS[:1])),
            lambda index: index._replace(did_filter=DidFilter.of(DIDS[:2])),
        ],
    )
    def test_what_is_said_of_the_whole(self, change: Callable[[ContainerIndex], ContainerIndex]) -> None:
        changed = change(self.INDEX)
        assert list(index_problems(self.NAME, changed, self.DATA)) == ["its index and the entries of its blocks differ"]


class TestFirehose:
    BLOCK = block_of(EVENTS[:6], HOUR_US)

    def problems(self, block: SealedBlock) -> list[str]:
        return block_problems(Stream.FIREHOSE, block, CODECS)

    def test_nothing_is_wrong(self) -> None:
        assert self.problems(self.BLOCK) == []

    def test_bytes(self) -> None:
        [problem] = self.problems(self.BLOCK._replace(packed=self.BLOCK.packed[:-1] + b"?"))
        assert problem.endswith("the checksum does not match")

    def test_facts(self) -> None:
        [problem] = self.problems(reseal(self.BLOCK, last_seq=EVENTS[6].seq))
        assert problem.endswith("holds other events than its facts say")

    def test_filters(self) -> None:
        did = EVENTS[0].did
        others = DidFilter.of(set(DIDS) - {did})
        assert self.problems(reseal(self.BLOCK, did_filter=others)) == [
            f"event {EVENTS[0].seq}: the DID filter denies {did}"
        ]
        said = tuple(COLLECTIONS[:1]) + tuple(COLLECTIONS[2:])
        assert self.problems(reseal(self.BLOCK, collections=said)) == [
            f"event {event.seq}: the collections are said to be without {COLLECTIONS[1]}"
            for event in EVENTS[:6]
            if event.paths[0].startswith(COLLECTIONS[1])
        ]
        assert self.problems(reseal(self.BLOCK, collections=None, did_filter=None)) == []

    @pytest.mark.parametrize(
        ("frame", "problem"),
        [
            (an_event(HOUR_US + 11, DIDS[1], COLLECTIONS[1]).frame, f"its frame says {HOUR_US + 11} #commit {DIDS[1]}"),
            (an_event(HOUR_US + 10, DIDS[2], COLLECTIONS[1]).frame, f"its frame says {HOUR_US + 10} #commit {DIDS[2]}"),
            (an_event(HOUR_US + 10, DIDS[1], COLLECTIONS[2]).frame, f"its frame says {HOUR_US + 10} #commit {DIDS[1]}"),
            (an_event(HOUR_US + 10, DIDS[1]).frame, f"its frame says {HOUR_US + 10} #account {DIDS[1]}"),
            (frames.frame("#info", {"name": "Hello"}), "not a numbered message"),
        ],
    )
    def test_frames(self, frame: bytes, problem: str) -> None:
        [found] = self.problems(block_of([EVENTS[0]._replace(frame=frame)], HOUR_US))
        assert found.startswith(f"event {EVENTS[0].seq}: ")
        assert problem in found

    def test_not_every_event_of_a_wrong_block_is_named(self) -> None:
        assert len(self.problems(reseal(self.BLOCK, did_filter=DidFilter(b"")))) == PROBLEMS


class TestJetstream:
    BLOCK = jetstream_blocks()[0]
    LINE = unseal(BLOCK, CODECS)

    def problems(self, raw: bytes, **changed: Any) -> list[str]:
        return block_problems(Stream.JETSTREAM, reseal(self.BLOCK, raw, **changed), CODECS)

    def test_nothing_is_wrong(self) -> None:
        assert self.problems(self.LINE) == []
        assert block_problems(Stream.JETSTREAM, jetstream_blocks()[1], CODECS) == []

    def test_lines(self) -> None:
        more = (0, 0, 0, 2)
        assert self.problems(self.LINE[:-1]) == ["its last line has no end"]
        assert self.problems(b"[]\n{}\nx\n", counts=()) == [f"behind {HOUR_US}: a line that is no event"] * 3
        assert self.problems(self.LINE * 2, counts=more) == [f"line {HOUR_US + 10}: not behind {HOUR_US + 10}"]
        early = self.LINE.replace(str(HOUR_US + 10).encode(), str(HOUR_US + 9).encode())
        assert self.problems(early) == [f"line {HOUR_US + 9}: not behind {HOUR_US}"]

    @pytest.mark.parametrize("counts", [(), (1,), (0, 0, 1), (0, 0, 0, 2), (1, 0, 0, 1)])
    def test_counts(self, counts: tuple[int, ...]) -> None:
        assert self.problems(self.LINE, counts=counts) == ["it holds other lines than its facts say"]

    def test_filters(self) -> None:
        assert self.problems(self.LINE, did_filter=DidFilter(b"")) == [
            f"line {HOUR_US + 10}: the DID filter denies did:plc:a"
        ]
        line = b'{"did":"did:plc:a","time_us":%d,"kind":"commit","commit":{"collection":"a.b.c"}}\n' % (HOUR_US + 10)
        assert self.problems(line, counts=(1,)) == [
            f"line {HOUR_US + 10}: the collections are said to be without a.b.c"
        ]
        assert self.problems(line, counts=(1,), collections=("a.b.c",)) == []


class TestBlobs:
    BLOCK = blob_blocks()[0]

    def problems(self, **changed: Any) -> list[str]:
        return block_problems(Stream.BLOBS, reseal(self.BLOCK, **changed), CODECS)

    def test_nothing_is_wrong(self) -> None:
        assert self.problems() == self.problems(did_filter=None, cid_filter=None, collections=None) == []

    def test_filters_and_counts(self) -> None:
        references = open_references(self.BLOCK, CODECS)
        assert self.problems(cid_filter=CidFilter(b"")) == [
            f"reference {each.seq}: the CID filter denies {each.cid}" for each in references
        ]
        assert self.problems(did_filter=DidFilter(b"")) == [
            f"reference {each.seq}: the DID filter denies {each.did}" for each in references
        ]
        assert self.problems(counts=(3,)) == ["it holds other references than its facts say"]

    def test_rows(self) -> None:
        [problem] = block_problems(Stream.BLOBS, reseal(self.BLOCK, b"text"), CODECS)
        assert "a row that is none" in problem
