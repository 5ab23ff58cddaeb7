"""A folder of files keeps the contract of a bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgerelay.runtime.objects import ObjectStoreError
from edgerelay_dev.operator.folder_objects import FolderObjects
from tests.coroutines import finished
from tests.object_contract import OBJECTS, ObjectReaderContract


class TestContract(ObjectReaderContract):
    @pytest.fixture
    def reader(self, tmp_path: Path) -> FolderObjects:
        for name, data in OBJECTS.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(data)
        return FolderObjects(tmp_path)


def test_other_files_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"")
    assert finished(FolderObjects(tmp_path).names("")) == []


def test_there_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ObjectStoreError, match="no folder"):
        FolderObjects(tmp_path / "none")
