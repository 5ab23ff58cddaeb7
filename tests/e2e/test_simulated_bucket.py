"""A bucket that the R2 simulator wrote keeps the contract of a bucket, read from its files."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgerelay_dev.offline.checkout import Checkout
from edgerelay_dev.offline.workerd import ENVIRONMENT
from edgerelay_dev.operator.simulator_objects import SimulatorObjects
from tests.coroutines import finished
from tests.object_contract import OBJECTS, ObjectReaderContract

FILLER = Path(__file__).with_name("fill_bucket.mjs")
PART_BYTES = 5 * 1024 * 1024
"""The least that a part may have that is not the last."""
PARTS = (b"1" * PART_BYTES, b"2" * PART_BYTES, b"3")
LIMIT_S = 60.0


def fill(state_dir: Path, objects: dict[str, tuple[bytes, ...]]) -> None:
    """Write objects, each in its parts."""
    checkout = Checkout.of_this_file()
    bucket = {"binding": "BUCKET", "bucket_name": "edgerelay-archive"}
    configuration = state_dir / "wrangler.json"
    configuration.write_text(json.dumps({"compatibility_date": "2026-09-08", "r2_buckets": [bucket]}))
    parts = {name: [b64encode(part).decode() for part in parts] for name, parts in objects.items()}
    subprocess.run(
        [checkout.node, FILLER, configuration, state_dir],
        input=json.dumps(parts),
        text=True,
        check=True,
        timeout=LIMIT_S,
        env={**os.environ, **ENVIRONMENT},
    )


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    fill(folder, {name: (data,) for name, data in OBJECTS.items()})
    return folder


class TestContract(ObjectReaderContract):
    @pytest.fixture
    def reader(self, state_dir: Path) -> Iterator[SimulatorObjects]:
        with SimulatorObjects(state_dir) as reader:
            yield reader


def test_what_was_uploaded_in_parts_is_one_object(tmp_path: Path) -> None:
    fill(tmp_path, {"a/1.ers": PARTS})
    with SimulatorObjects(tmp_path) as reader:
        assert finished(reader.read("a/1.ers", PART_BYTES - 1, PART_BYTES + 3)) == b"1" + PARTS[1] + b"3"
        tail = finished(reader.read_tail("a/1.ers", 3))
        assert (tail.data, tail.size_bytes) == (b"223", 2 * PART_BYTES + 1)


def test_what_was_put_again_is_the_newer_one(tmp_path: Path) -> None:
    fill(tmp_path, {"a/1.ers": PARTS, "a/2.ers": (b"old",)})
    fill(tmp_path, {"a/1.ers": (b"new",), "a/2.ers": PARTS})
    with SimulatorObjects(tmp_path) as reader:
        assert finished(reader.read("a/1.ers", 0, 10)) == b"new"
        assert finished(reader.read_tail("a/2.ers", 1)).size_bytes == 2 * PART_BYTES + 1
