"""Which archive a command reads: its arguments, and the port that they open."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgerelay.runtime.objects import ObjectReader, ObjectStoreError
from edgerelay_dev.operator.folder_objects import FolderObjects
from edgerelay_dev.operator.simulator_objects import SimulatorObjects

if TYPE_CHECKING:
    from edgerelay_dev.operator.s3_bucket import S3Bucket

__all__ = ["BUCKET_HELP", "ENDPOINT_HELP", "add_store_arguments", "is_store_named", "open_bucket", "open_store"]

DEFAULT_STATE_DIR: Final = Path(".state")
"""Where `make run` keeps its state."""

ENDPOINT_HELP: Final = "an S3 endpoint; R2's is https://ACCOUNT.r2.cloudflarestorage.com"
BUCKET_HELP: Final = "bucket at the endpoint; credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def add_store_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; without any, the archive is that of `make run`."""
    group = parser.add_argument_group("the archive")
    where = group.add_mutually_exclusive_group()
    where.add_argument(
        "--state-dir", type=Path, metavar="DIR", help=f"state of a local relay (default: {DEFAULT_STATE_DIR})"
    )
    where.add_argument("--files", type=Path, metavar="DIR", help="a folder of .ers files, whatever their names")
    where.add_argument("--endpoint", metavar="URL", help=ENDPOINT_HELP)
    group.add_argument("--bucket", help=BUCKET_HELP)


def is_store_named(options: argparse.Namespace) -> bool:
    """Whether the command line names an archive."""
    return bool(options.state_dir or options.files or options.endpoint)


@contextmanager
def open_store(options: argparse.Namespace) -> Iterator[ObjectReader]:
    """The archive that the command line names. Raises `ObjectStoreError` if there is none."""
    if options.endpoint:
        if not options.bucket:
            raise ObjectStoreError("--endpoint needs --bucket")
        yield open_bucket(options.endpoint, options.bucket)
    elif options.files:
        yield FolderObjects(options.files)
    else:
        with SimulatorObjects(options.state_dir or DEFAULT_STATE_DIR) as objects:
            yield objects


def open_bucket(endpoint: str, bucket: str) -> S3Bucket:
    """A bucket at an endpoint. Raises `ObjectStoreError` if there cannot be one."""
    # Only here, because whoever has no bucket needs no client.
    try:
        from edgerelay_dev.operator.s3_bucket import S3Bucket
    except ImportError as error:
        raise ObjectStoreError(f"--endpoint needs the packages of the extra `s3`: {error}") from error
    return S3Bucket(endpoint, bucket)
