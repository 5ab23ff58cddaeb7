"""The command `edgerelay segments`, over a folder of files."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgerelay.archive.jetstream import render
from edgerelay.atproto.cid import cid_for_cbor
from edgerelay_dev.cli import main
from edgerelay_dev.operator.event_text import event_text
from edgerelay_dev.operator.timeline import ArchivedEvent
from tests.archives import COLLECTIONS, DIDS, TID, Archive, block_of, history
from tests.oracle import frames
from tests.oracle.repo import car
from tests.packing import HOUR_US
from tests.s3_server import s3_server

EVENTS = history(60)
NOTHING = "0 objects, 0 blocks, 0 events"
WHOLE = f"firehose: 4 objects, 12 blocks, 60 events\njetstream: {NOTHING}\nblobs: {NOTHING}\n"
Printed = pytest.CaptureFixture[str]


def write(archive: Archive, folder: Path) -> Path:
    for name, data in archive.objects.objects.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The history as four groups of three blocks."""
    archive = Archive()
    archive.put_history(EVENTS, block_events=5, object_blocks=3)
    return write(archive, tmp_path / "files")


def segments(*arguments: object) -> int:
    return main(["segments", *map(str, arguments)])


class TestList:
    def test_a_line_for_each_object(self, files: Path, capsys: Printed) -> None:
        assert segments("ls", "--files", files) == 0
        printed = capsys.readouterr()
        lines = printed.out.splitlines()
        assert len(lines) == 4
        size_bytes = sum(path.stat().st_size for path in files.rglob("*.ers"))
        assert printed.err == f"4 of 4 objects, {size_bytes:,} bytes, 60 events\n"
        for fact in (
            "2026-11-23T14:00:00.000010Z",
            "3 blocks",
            "15 events",
            "6 DIDs",
            "3 collections",
            "groups/2026/11",
        ):
            assert fact in lines[0]

    def test_only_objects_that_may_hold_what_is_wanted(self, files: Path, capsys: Printed) -> None:
        assert segments("ls", "--files", files, "--since", EVENTS[15].seq, "--until", EVENTS[45].seq) == 0
        assert len(capsys.readouterr().out.splitlines()) == 2
        assert segments("ls", "--files", files, "--did", frames.did(99)) == 0
        assert capsys.readouterr().out == ""

    def test_older_generations_are_marked(self, files: Path, capsys: Printed) -> None:
        archive = Archive()
        archive.put(block_of(EVENTS[:15], HOUR_US, generation=1), generation=1)
        write(archive, files)
        assert segments("ls", "--files", files) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 5
        assert [line for line in lines if "newer generation" in line] == [line for line in lines[:2] if ".g0." in line]


class TestCat:
    def test_a_line_for_each_event(self, files: Path, capsys: Printed) -> None:
        assert segments("cat", "--files", files) == 0
        printed = capsys.readouterr()
        assert printed.out.splitlines() == [event_text(event) for event in EVENTS]
        assert printed.err == ("60 events; 4 of 4 objects opened; blocks: 12 read, 0 skipped, 0 repeated elsewhere\n")

    def test_only_what_is_wanted(self, files: Path, capsys: Printed) -> None:
        wanted = ["--did", DIDS[0], "--did", DIDS[1], "--collection", COLLECTIONS[1], "--since", EVENTS[30].seq]
        assert segments("cat", "--files", files, *wanted) == 0
        expected = [
            event
            for event in EVENTS[30:]
            if event.did in DIDS[:2] and event.paths and event.paths[0].startswith(COLLECTIONS[1])
        ]
        assert expected
        printed = capsys.readouterr()
        assert printed.out.splitlines() == [event_text(event) for event in expected]
        assert "2 of 4 objects opened" in printed.err

    def test_who_has_read_enough_may_go(self, files: Path) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-m", "edgerelay_dev", "segments", "cat", "--files", str(files)]
        with open(writing, "wb") as closed:
            done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, "Error" in done.stderr) == (0, False)


class TestExport:
    def test_frames_behind_their_lengths(self, files: Path, tmp_path: Path) -> None:
        out = tmp_path / "frames"
        assert segments("export", "--frames", "--files", files, "--out", out) == 0
        stream, found = io.BytesIO(out.read_bytes()), []
        while length := stream.read(4):
            found.append(stream.read(int.from_bytes(length, "big")))
        assert found == [event.frame for event in EVENTS]

    def test_lines_of_jetstream(self, files: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
        assert segments("export", "--jsonl", "--files", files) == 0
        printed = capsysbinary.readouterr()
        expected = [line.json for event in EVENTS for line in render(event.frame).lines]
        assert printed.out.splitlines() == expected
        assert {json.loads(line)["kind"] for line in expected} == {"account"}
        commits = sum(event.kind == "#commit" for event in EVENTS)
        assert f"operations without a line: {commits} bad_car\n".encode() in printed.err, "they have no blocks"

    def test_lines_are_of_the_collections_wanted(
        self, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        ops = [{"action": "delete", "path": f"{name}/1", "cid": None, "prev": frames.link(b"")} for name in COLLECTIONS]
        seq, paths = EVENTS[0].seq, tuple([f"{name}/1" for name in COLLECTIONS])
        fields: dict[str, Any] = {
            "ops": ops,
            "since": TID,
            "prevData": frames.link(b""),
            "blocks": car(cid_for_cbor(b""), {}),
        }
        frame = frames.commit(seq, DIDS[0], TID, **fields)
        archive = Archive()
        archive.put(block_of([ArchivedEvent(seq, "#commit", DIDS[0], paths, frame)], HOUR_US))
        write(archive, tmp_path)
        assert segments("export", "--jsonl", "--files", tmp_path, "--collection", COLLECTIONS[1]) == 0
        found = [json.loads(line)["commit"]["collection"] for line in capsysbinary.readouterr().out.splitlines()]
        assert found == [COLLECTIONS[1]]

    def test_a_file_that_cannot_be_written_is_named(self, files: Path, capsys: Printed) -> None:
        assert segments("export", "--frames", "--files", files, "--out", files / "none" / "frames") == 1
        assert "edgerelay segments: [Errno 2]" in capsys.readouterr().err

    def test_a_form_must_be_chosen(self, files: Path, capsys: Printed) -> None:
        with pytest.raises(SystemExit, match="2"):
            segments("export", "--files", files)
        assert "--jsonl" in capsys.readouterr().err


class TestVerify:
    def test_a_whole_archive(self, files: Path, capsys: Printed) -> None:
        assert segments("verify", "--files", files) == 0
        assert capsys.readouterr() == (WHOLE, "")

    def test_a_problem_is_the_exit_status(self, files: Path, capsys: Printed) -> None:
        (files / "x.ers").write_bytes(b"something else")
        sorted(files.rglob("*.g0.ers"))[1].unlink()
        assert segments("verify", "--files", files) == 1
        printed = capsys.readouterr()
        assert printed.err.startswith("x.ers: foreign: neither begins nor ends as a container\nhole in firehose: ")
        assert printed.out.startswith("firehose: 3 objects, 9 blocks, 45 events\n")

    @pytest.mark.parametrize("action", [["ls"], ["cat"], ["export", "--frames"]])
    def test_so_it_is_of_the_others(
        self, files: Path, action: list[str], capsysbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        (files / "x.ers").write_bytes(b"something else")
        assert segments(*action, "--files", files) == 1
        printed = capsysbinary.readouterr()
        assert b"x.ers: foreign" in printed.err
        assert printed.out


def test_a_bucket_is_read_as_files_are(capsys: Printed) -> None:
    archive = Archive()
    archive.put_history(EVENTS, block_events=5, object_blocks=3)
    with s3_server() as server:
        server.fill("segments", archive.objects.objects)
        bucket = ["--endpoint", server.endpoint, "--bucket", "segments"]
        assert segments("cat", *bucket, "--since", EVENTS[20].seq) == 0
        assert capsys.readouterr().out.splitlines() == [event_text(event) for event in EVENTS[20:]]
        assert segments("verify", *bucket) == 0
        assert capsys.readouterr().out == WHOLE
        assert segments("ls", "--endpoint", server.endpoint, "--bucket", "none") == 1
        assert "edgerelay segments: none/: " in capsys.readouterr().err


def test_an_archive_that_is_not_there_is_named(tmp_path: Path, capsys: Printed) -> None:
    assert segments("ls", "--files", tmp_path / "none") == 1
    assert f"edgerelay segments: {tmp_path / 'none'} is no folder\n" in capsys.readouterr().err
    assert segments("ls", "--state-dir", tmp_path) == 1
    assert "0 databases" in capsys.readouterr().err


def test_a_moment_that_is_none_is_refused(capsys: Printed) -> None:
    with pytest.raises(SystemExit, match="2"):
        segments("ls", "--since", "yesterday")
    assert "'yesterday' is not a cursor" in capsys.readouterr().err
