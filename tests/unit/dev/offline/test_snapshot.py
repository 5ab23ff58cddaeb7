"""A workerd that takes no snapshot is an error with workerd's own words; one that does is ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgerelay_dev.offline.checkout import IncompleteError
from edgerelay_dev.offline.snapshot import SNAPSHOT_NAME, take_snapshot


def fake_workerd(folder: Path, script: str) -> Path:
    path = folder / "workerd"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_what_workerd_said_is_repeated(tmp_path: Path) -> None:
    workerd = fake_workerd(tmp_path, "echo no such flag >&2; exit 1")
    with pytest.raises(IncompleteError, match="no such flag"):
        take_snapshot(workerd, tmp_path, "2026-01-01", ["one"], tmp_path / "snapshot")


def test_a_snapshot_of_an_earlier_time_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / SNAPSHOT_NAME).touch()
    with pytest.raises(IncompleteError):
        take_snapshot(fake_workerd(tmp_path, "exit 0"), tmp_path, "2026-01-01", [], folder)


def test_workerd_is_ended_when_it_listens(tmp_path: Path) -> None:
    folder = tmp_path / "snapshot"
    script = f"""touch {folder}/{SNAPSHOT_NAME}; echo '{{"event":"listen"}}'; exec sleep 60"""
    take_snapshot(fake_workerd(tmp_path, script), tmp_path, "2026-01-01", ["one", "two"], folder)
    written = (folder / "snapshot.capnp").read_text()
    assert 'compatibilityDate = "2026-01-01"' in written
    assert '["one", "two", "disable_python_external_sdk"]' in written
