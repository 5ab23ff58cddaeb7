"""A server that speaks S3, for tests, with credentials in the environment as operators have them there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import boto3
import pytest
from moto.server import ThreadedMotoServer

__all__ = ["S3Server", "s3_server"]


class S3Server:
    """A server that runs."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")

    def fill(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        """Make a bucket of these objects."""
        self.client.create_bucket(Bucket=bucket)
        for name, data in objects.items():
            self.client.put_object(Bucket=bucket, Key=name, Body=data)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Runs one on a free port. Buckets outlive it in this process, so each test has its own."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "an-id")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
        environment.delenv("AWS_DEFAULT_REGION", raising=False)
        server.start()
        host, port = server.get_host_and_port()
        yield S3Server(f"http://{host}:{port}")
        server.stop()
