"""The command line names one archive, and what is missing for it is said."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from edgerelay.runtime.objects import ObjectStoreError
from edgerelay_dev.operator.folder_objects import FolderObjects
from edgerelay_dev.operator.s3_bucket import S3Bucket
from edgerelay_dev.operator.store_argument import add_store_arguments, is_store_named, open_store


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_store_arguments(parser)
    return parser.parse_args(arguments)


def test_a_folder_of_files(tmp_path: Path) -> None:
    options = parsed("--files", str(tmp_path))
    assert is_store_named(options)
    with open_store(options) as objects:
        assert isinstance(objects, FolderObjects)


def test_a_bucket() -> None:
    options = parsed("--endpoint", "http://127.0.0.1:9", "--bucket", "archive")
    assert is_store_named(options)
    with open_store(options) as objects:
        assert isinstance(objects, S3Bucket)


def test_without_any_it_is_the_state_of_make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not is_store_named(parsed())
    with pytest.raises(ObjectStoreError, match=r"\.state is no state"), open_store(parsed()):
        pass


def test_an_endpoint_needs_a_bucket() -> None:
    with (
        pytest.raises(ObjectStoreError, match="needs --bucket"),
        open_store(parsed("--endpoint", "http://127.0.0.1:9")),
    ):
        pass


def test_an_endpoint_needs_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "edgerelay_dev.operator.s3_bucket", raising=False)
    monkeypatch.setitem(sys.modules, "boto3", None)
    options = parsed("--endpoint", "http://127.0.0.1:9", "--bucket", "archive")
    with pytest.raises(ObjectStoreError, match="extra `s3`"), open_store(options):
        pass


def test_it_is_one_archive(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parsed("--files", "a", "--state-dir", "b")
    assert "not allowed with" in capsys.readouterr().err
