"""References to blobs: what the lines say is what a walk through the records finds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cbor2 import dumps
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.blobs import (
    MAX_MIME_TYPE_CHARS,
    BlobReference,
    BlobRowError,
    find_blobs,
    read_rows,
    write_row,
)
from edgerelay.archive.jetstream import render
from edgerelay.atproto.cid import cid_for_raw, cid_from_link, cid_to_link, cid_to_text
from tests.oracle import frames
from tests.unit.archive.test_jetstream import DID, SEQ, commit

IMAGE = cid_for_raw(b"image")
IMAGE_TEXT = cid_to_text(IMAGE)


def blob(data: bytes = b"image", mime_type: str = "image/jpeg", size: int = 5) -> dict[str, Any]:
    return {"$type": "blob", "ref": cid_to_link(cid_for_raw(data)), "mimeType": mime_type, "size": size}


def found(*records: Any, action: str = "create") -> list[BlobReference]:
    """The references in a commit that writes these records."""
    ops = [(action, f"a.b.c/k{number}", dumps(record, canonical=True)) for number, record in enumerate(records)]
    return find_blobs(lines_of(commit(ops)))


def lines_of(frame: bytes) -> bytes:
    """The lines of a frame as a block has them, behind those of other events."""
    other = lines(frames.identity(SEQ - 1, DID)) + lines(commit([("delete", "a.b.c/k", None)]))
    return other + lines(frame) + other


def lines(frame: bytes) -> bytes:
    return b"".join([line.json + b"\n" for line in render(frame).lines])


class TestFind:
    def test_a_blob_with_all_that_is_said_of_it(self) -> None:
        assert found({"embed": {"images": [{"image": blob()}]}}) == [
            BlobReference(SEQ, DID, "a.b.c/k0", IMAGE_TEXT, "image/jpeg", 5)
        ]

    def test_a_blob_of_old_has_no_size(self) -> None:
        assert found({"avatar": {"cid": IMAGE_TEXT, "mimeType": "image/png"}}) == [
            BlobReference(SEQ, DID, "a.b.c/k0", IMAGE_TEXT, "image/png", None)
        ]

    def test_records_that_are_updated_count_and_deleted_ones_do_not(self) -> None:
        assert len(found({"a": blob()}, action="update")) == 1
        assert find_blobs(lines(commit([("delete", "a.b.c/k", None)]))) == []

    def test_each_record_is_named_by_its_path_and_the_number_of_its_operation(self) -> None:
        assert [(each.seq, each.path) for each in found({"a": blob()}, {}, {"a": blob()})] == [
            (SEQ, "a.b.c/k0"),
            (SEQ + 2, "a.b.c/k2"),
        ]

    def test_a_record_names_a_blob_once(self) -> None:
        assert len(found({"a": [blob(), blob(), blob(b"other")]})) == 2

    def test_what_only_looks_like_a_blob_is_none(self) -> None:
        lookalike = json.dumps({**blob(), "ref": {"$link": IMAGE_TEXT}}, separators=(",", ":"))
        assert found({"text": lookalike, lookalike: [lookalike], "b": {"cid": IMAGE_TEXT, "uri": "at://a"}}) == []
        assert found({"link": cid_to_link(IMAGE), "c": {"cid": IMAGE_TEXT, "mimeType": "a", "more": 1}}) == []

    @pytest.mark.parametrize("mime_type", ['video/webm;codecs="vp9"', "a\\", "<&>\u2028", "", "\n", "ä/ö"])
    def test_mime_types_come_as_they_are(self, mime_type: str) -> None:
        assert [each.mime_type for each in found({"a": blob(mime_type=mime_type)})] == [mime_type]

    def test_of_a_long_mime_type_the_beginning(self) -> None:
        assert [len(each.mime_type) for each in found({"a": blob(mime_type="a" * 1_000)})] == [MAX_MIME_TYPE_CHARS]

    def test_events_that_are_no_commits_have_none(self) -> None:
        handle = json.dumps({"cid": IMAGE_TEXT, "mimeType": "a"}, separators=(",", ":"))
        assert find_blobs(lines(frames.identity(SEQ, DID, handle=handle))) == []
        assert find_blobs(b"") == []

    def test_a_record_without_a_line_has_none(self) -> None:
        assert found({"a": blob(), "b": 1.5}, {"a": blob()}) == [
            BlobReference(SEQ + 1, DID, "a.b.c/k1", IMAGE_TEXT, "image/jpeg", 5)
        ]


class TestRows:
    REFERENCES = (
        BlobReference(SEQ, DID, "a.b.c/k", IMAGE_TEXT, 'a/b;"c"', 5, "https://host.test"),
        BlobReference(SEQ, "did:web:b.test", "a.b.c/k", IMAGE_TEXT, "ä", None),
        BlobReference(SEQ + 1, DID, "a.b.c/d", cid_to_text(cid_for_raw(b"")), f'"cid":"{IMAGE_TEXT}"', 0),
    )
    RAW = b"".join(map(write_row, REFERENCES))

    def test_golden_bytes(self) -> None:
        assert write_row(self.REFERENCES[0]).decode() == (
            f'{{"seq":{SEQ},"did":"{DID}","path":"a.b.c/k","cid":"{IMAGE_TEXT}","mimeType":"a/b;\\"c\\"","size":5,'
            '"host":"https://host.test"}\n'
        )

    def test_they_come_back(self) -> None:
        assert read_rows(self.RAW) == [*self.REFERENCES]
        assert read_rows(b"") == []

    def test_those_of_one_account_and_one_blob(self) -> None:
        assert read_rows(self.RAW, DID) == [self.REFERENCES[0], self.REFERENCES[2]]
        assert read_rows(self.RAW, cid=IMAGE_TEXT) == [*self.REFERENCES[:2]]
        assert read_rows(self.RAW, DID, IMAGE_TEXT) == [self.REFERENCES[0]]

    @pytest.mark.parametrize("raw", [b"x", b"{}", b"[]", b"1", b"\xff", RAW[:-10]])
    def test_damage_has_a_name(self, raw: bytes) -> None:
        with pytest.raises(BlobRowError):
            read_rows(raw)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
cids = st.sampled_from([cid_for_raw(b"a"), cid_for_raw(b"b")])
blobs = st.builds(
    lambda cid, mime_type, size: {"$type": "blob", "ref": cid_to_link(cid), "mimeType": mime_type, "size": size},
    cids,
    texts,
    st.integers(0, 2**40),
)
old_blobs = st.builds(lambda cid, mime_type: {"cid": cid_to_text(cid), "mimeType": mime_type}, cids, texts)
near_blobs = st.builds(lambda cid, text: {"cid": cid_to_text(cid), "uri": text}, cids, texts)
leaves = blobs | old_blobs | near_blobs | texts | st.integers(-5, 5) | cids.map(cid_to_link) | st.binary(max_size=4)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts.map("n{}".format), inner, max_size=4),
    max_leaves=12,
)
records = st.dictionaries(texts.map("n{}".format), values, max_size=4)


def walk(value: Any) -> list[tuple[str, str, int | None]]:
    """The slow and obvious way: every map is looked at."""
    if isinstance(value, list):
        return [each for inner in value for each in walk(inner)]
    if not isinstance(value, dict):
        return []
    if value.get("$type") == "blob":
        return [(cid_to_text(cid_from_link(value["ref"])), value["mimeType"], value["size"])]
    if set(value) == {"cid", "mimeType"}:
        return [(value["cid"], value["mimeType"], None)]
    return [each for inner in value.values() for each in walk(inner)]


@given(st.lists(records, min_size=1, max_size=3))
def test_whatever_records_hold_is_found(written: list[dict[str, Any]]) -> None:
    expected = {
        (SEQ + number, f"a.b.c/k{number}", *each) for number, record in enumerate(written) for each in walk(record)
    }
    references = found(*written)
    assert {(each.seq, each.path, each.cid, each.mime_type, each.size_bytes) for each in references} == expected
    assert len(references) == len(expected)
    assert read_rows(b"".join(map(write_row, references))) == references
