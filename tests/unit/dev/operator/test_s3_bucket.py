"""A bucket of a server that speaks S3 keeps the contract of a bucket."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from edgerelay.runtime.objects import ObjectStoreError
from edgerelay_dev.operator.s3_bucket import S3Bucket
from tests.coroutines import finished
from tests.object_contract import OBJECTS, ObjectReaderContract
from tests.s3_server import s3_server


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as server:
        server.fill("archive", OBJECTS)
        yield server.endpoint


class TestContract(ObjectReaderContract):
    @pytest.fixture
    def reader(self, endpoint: str) -> S3Bucket:
        return S3Bucket(endpoint, "archive")


def test_rules_come_back(endpoint: str) -> None:
    reader = S3Bucket(endpoint, "archive")
    assert finished(reader.lifecycle_rules()) == []
    rule = {"ID": "one", "Status": "Enabled", "Filter": {"Prefix": "a/"}, "Expiration": {"Days": 3}}
    finished(reader.set_lifecycle_rules([rule]))
    [found] = finished(reader.lifecycle_rules())
    assert (found["ID"], found["Expiration"]["Days"]) == ("one", 3)


def test_a_bucket_that_is_not_there_is_said(endpoint: str) -> None:
    with pytest.raises(ObjectStoreError, match="NoSuchBucket"):
        finished(S3Bucket(endpoint, "none").names(""))


def test_an_endpoint_that_is_none_is_said() -> None:
    with pytest.raises(ObjectStoreError, match="nowhere"):
        S3Bucket("nowhere", "archive")


def test_an_endpoint_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgerelay_dev.operator.s3_bucket.ATTEMPTS", 1)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        reader = S3Bucket(f"http://127.0.0.1:{closed.getsockname()[1]}", "archive")
        with pytest.raises(ObjectStoreError, match="archive/a/"):
            finished(reader.names("a/"))


def test_nobody_reads_without_credentials(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
    with pytest.raises(ObjectStoreError, match="credentials"):
        finished(S3Bucket(endpoint, "archive").names(""))
