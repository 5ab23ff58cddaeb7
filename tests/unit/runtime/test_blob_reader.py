"""Blobs from hosts that may answer anything: what is passed on is what the CID names, and never too much at once."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.api.blobs import BlobName, BlobProblem
from edgerelay.atproto.cid import cid_for_cbor, cid_for_raw, cid_to_text
from edgerelay.atproto.hosting import blob_url
from edgerelay.runtime.blob_reader import (
    ALLOWED_TYPES,
    BLOB_PATIENCE_S,
    LOST_AFTER_US,
    MAX_READING_BYTES,
    Blob,
    BlobReader,
)
from edgerelay.runtime.fetcher import Fetched, FetchError
from edgerelay.runtime.memory import MemoryFetcher
from tests.virtual_time import run

HOST = "https://pds.example.com"
IMAGE = b"an image"
MAX_BYTES = MAX_READING_BYTES // 4
NOW_US = 1_795_442_400_000_000


def named(data: bytes = IMAGE) -> BlobName:
    return BlobName("did:web:a.test", cid_to_text(cid_for_raw(data)))


def read(answer: Fetched | FetchError, name: BlobName | None = None, max_bytes: int = 1_000) -> Blob | BlobProblem:
    name = name or named()
    fetcher = MemoryFetcher()
    fetcher.web[blob_url(HOST, *name)] = answer
    return run(BlobReader(fetcher, max_bytes).read(HOST, name, NOW_US))[0]


def image(data: bytes = IMAGE, content_type: str = "image/png", status: int = 200) -> Fetched:
    return Fetched(status, data, content_type=content_type)


@pytest.mark.parametrize("content_type", [*sorted(ALLOWED_TYPES), "Image/PNG; charset=binary"])
def test_a_blob(content_type: str) -> None:
    assert read(image(content_type=content_type)) == Blob(content_type.partition(";")[0].lower(), IMAGE)


def test_the_codec_of_the_cid_makes_no_difference() -> None:
    name = BlobName("did:web:a.test", cid_to_text(cid_for_cbor(IMAGE)))
    assert read(image(), name) == Blob("image/png", IMAGE)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (FetchError("timeout"), BlobProblem.HOST_UNAVAILABLE),
        (image(status=404), BlobProblem.BLOB_NOT_FOUND),
        (image(status=400), BlobProblem.BLOB_NOT_FOUND),
        (image(status=302), BlobProblem.HOST_UNAVAILABLE),
        (image(status=206), BlobProblem.HOST_UNAVAILABLE),
        (image(status=429), BlobProblem.HOST_UNAVAILABLE),
        (image(status=500), BlobProblem.HOST_UNAVAILABLE),
        (image(content_type=""), BlobProblem.TYPE_NOT_ALLOWED),
        (image(content_type="text/html"), BlobProblem.TYPE_NOT_ALLOWED),
        (image(content_type="image/svg+xml"), BlobProblem.TYPE_NOT_ALLOWED),
        (image(content_type="image/png, text/html"), BlobProblem.TYPE_NOT_ALLOWED),
        (image(bytes(1_001)), BlobProblem.TOO_LARGE),
        (image(b""), BlobProblem.INVALID_BLOB),
        (image(IMAGE[:-1]), BlobProblem.INVALID_BLOB),
        (image(IMAGE + b"!"), BlobProblem.INVALID_BLOB),
    ],
)
def test_whatever_else_comes_has_a_name(answer: Fetched | FetchError, problem: BlobProblem) -> None:
    assert read(answer) is problem


def test_the_largest_one_passes() -> None:
    largest = bytes(1_000)
    assert read(image(largest), named(largest)) == Blob("image/png", largest)
    assert read(image(bytes(1_001)), named(bytes(1_001))) is BlobProblem.TOO_LARGE


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_only_what_the_cid_names_passes(said: bytes, sent: bytes) -> None:
    found = read(image(sent), named(said))
    assert found == (Blob("image/png", sent) if said == sent else BlobProblem.INVALID_BLOB)


class TestBounds:
    def reader(self) -> tuple[MemoryFetcher, BlobReader]:
        """A reader for four blobs at once."""
        fetcher = MemoryFetcher()
        fetcher.web[blob_url(HOST, *named())] = image()
        return fetcher, BlobReader(fetcher, MAX_BYTES)

    def test_never_too_many_are_read_at_once(self) -> None:
        fetcher, reader = self.reader()

        async def ask() -> list[Blob | BlobProblem]:
            return await asyncio.gather(*[reader.read(HOST, named(), NOW_US) for _ in range(6)])

        for _ in range(2):
            found, _ = run(ask())
            assert found == [Blob("image/png", IMAGE)] * 4 + [BlobProblem.TOO_BUSY] * 2
        assert fetcher.most_pending == 4

    def test_a_read_that_the_platform_ended_counts_no_longer(self) -> None:
        _, reader = self.reader()
        lost = [reader.read(HOST, named(), NOW_US) for _ in range(4)]
        for each in lost:
            each.send(None)  # it waits for its answer, and nobody will go on with it
        assert run(reader.read(HOST, named(), NOW_US + LOST_AFTER_US - 1))[0] is BlobProblem.TOO_BUSY
        assert run(reader.read(HOST, named(), NOW_US + LOST_AFTER_US))[0] == Blob("image/png", IMAGE)
        assert LOST_AFTER_US > BLOB_PATIENCE_S * 1_000_000
        for each in lost:
            each.close()

    def test_hosts_that_fail_take_no_room(self) -> None:
        reader = BlobReader(MemoryFetcher(), MAX_BYTES)
        for _ in range(10):
            assert run(reader.read(HOST, named(), NOW_US))[0] is BlobProblem.HOST_UNAVAILABLE
