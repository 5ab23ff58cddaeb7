"""The folder of a local relay keeps the contract of a bucket. That the simulator writes it so is tried end to end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgerelay.runtime.objects import ObjectMissingError, ObjectStoreError
from edgerelay_dev.operator.simulator_objects import SimulatorObjects
from tests.coroutines import finished
from tests.object_contract import OBJECTS, ObjectReaderContract

TABLES = """
    CREATE TABLE _mf_objects (key TEXT PRIMARY KEY, blob_id TEXT, size INTEGER NOT NULL);
    CREATE TABLE _mf_multipart_parts (
        upload_id TEXT, part_number INTEGER, blob_id TEXT, size INTEGER, object_key TEXT,
        PRIMARY KEY (upload_id, part_number)
    );
"""


class State:
    """The state of a relay whose bucket somebody fills."""

    def __init__(self, state_dir: Path, bucket: str = "archive") -> None:
        folder = state_dir / "v3" / "r2"
        self.blobs = folder / bucket / "blobs"
        self.blobs.mkdir(parents=True)
        (folder / "objects").mkdir(exist_ok=True)
        self.database = sqlite3.connect(folder / "objects" / f"{bucket}.sqlite", isolation_level=None)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.executescript(TABLES)

    def put(self, name: str, *parts: bytes) -> None:
        """Store an object, as one blob or by an upload of several parts."""
        ids = [f"{name.replace('/', '-')}-{number}" for number in range(len(parts))]
        for blob_id, data in zip(ids, parts, strict=True):
            (self.blobs / blob_id).write_bytes(data)
        whole = ids[0] if len(parts) == 1 else None
        self.database.execute("INSERT INTO _mf_objects VALUES (?, ?, ?)", (name, whole, sum(map(len, parts))))
        if whole is None:
            rows = [(name, number, blob_id, len(parts[number]), name) for number, blob_id in enumerate(ids)]
            self.database.executemany("INSERT INTO _mf_multipart_parts VALUES (?, ?, ?, ?, ?)", reversed(rows))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path)
    with closing(state.database):
        yield state


@pytest.mark.parametrize("cut", [10, 4])
class TestContract(ObjectReaderContract):
    @pytest.fixture
    def reader(self, state: State, tmp_path: Path, cut: int) -> Iterator[SimulatorObjects]:
        for name, data in OBJECTS.items():
            state.put(name, *([data[:cut], data[cut:]] if len(data) > cut else [data]))
        with SimulatorObjects(tmp_path) as reader:
            yield reader


def test_what_is_written_while_it_reads_is_seen(state: State, tmp_path: Path) -> None:
    with SimulatorObjects(tmp_path) as reader:
        assert finished(reader.names("")) == []
        state.put("a/1.ers", b"01", b"23", b"45")
        assert finished(reader.names("")) == ["a/1.ers"]
        assert finished(reader.read("a/1.ers", 1, 4)) == b"1234"


def test_it_writes_nothing_and_keeps_nobody_from_writing(state: State, tmp_path: Path) -> None:
    with SimulatorObjects(tmp_path) as reader:
        finished(reader.names(""))
        state.database.execute("BEGIN EXCLUSIVE")
        state.database.execute("DELETE FROM _mf_objects")
        state.database.execute("COMMIT")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("DELETE FROM _mf_objects")


def test_a_blob_that_is_gone_is_an_object_that_is_gone(state: State, tmp_path: Path) -> None:
    state.put("a/1.ers", b"01")
    (state.blobs / "a-1.ers-0").unlink()
    with SimulatorObjects(tmp_path) as reader, pytest.raises(ObjectMissingError, match="taken away"):
        finished(reader.read("a/1.ers", 0, 1))


def test_there_must_be_one_bucket(tmp_path: Path, state: State) -> None:
    with pytest.raises(ObjectStoreError, match="0 databases and 0 folders"):
        SimulatorObjects(tmp_path / "none")
    with (
        closing(State(tmp_path, "another").database),
        pytest.raises(ObjectStoreError, match="2 databases and 2 folders"),
    ):
        SimulatorObjects(tmp_path)


def test_what_is_no_database_is_said(tmp_path: Path, state: State) -> None:
    (tmp_path / "v3" / "r2" / "objects" / "x.sqlite").write_bytes(b"no database at all, but long enough to be read" * 9)
    with pytest.raises(ObjectStoreError, match=r"x\.sqlite"):
        SimulatorObjects(tmp_path)
