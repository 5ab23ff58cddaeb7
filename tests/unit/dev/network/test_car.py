from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.cid import cid_for_cbor, cid_to_text
from edgerelay_dev.network.car import Block, read_car, write_car
from tests.unit.dev.network.stream_oracle import parse_car

blocks = st.binary(max_size=400).map(lambda data: Block(cid_for_cbor(data), data))


@given(st.lists(blocks, min_size=1))
def test_what_is_written_can_be_read(written: list[Block]) -> None:
    car = write_car(written[-1].cid, written)
    assert read_car(car) == (written[-1].cid, written)
    assert parse_car(car) == (written[-1].cid, dict(written))


def test_interop_file_is_written_byte_for_byte(shared_data: Path) -> None:
    path = shared_data / "vectors/atproto/packages/repo/tests/car-file-fixtures.json"
    for fixture in json.loads(path.read_text()):
        car = b64decode(fixture["car"] + "==")
        root, read = read_car(car)
        assert cid_to_text(root) == fixture["root"]
        assert [cid_to_text(block.cid) for block in read] == [block["cid"] for block in fixture["blocks"]]
        assert write_car(root, read) == car
