"""What a cursor is, with an archive and without."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgerelay.archive.object_names import Folder
from edgerelay_dev.cli import main
from edgerelay_dev.operator.cursor import described
from tests.archives import Archive, block_of, history
from tests.packing import HOUR_US

EVENTS = history(60)
DAY_US = 86_400_000_000
Printed = pytest.CaptureFixture[str]


class TestDescribed:
    def test_a_time(self) -> None:
        assert described(HOUR_US + 1_000_001, HOUR_US + 3_601_000_001) == [
            "cursor      1795442401000001",
            "time        2026-11-23T14:00:01.000001Z, 1:00:00 ago",
            "hour        2026-11-23T14:00:00.000000Z",
            "named       firehose/2026/11/23/14/",
            "named       jetstream/2026/11/23/14/",
            "named       groups/2026/11/23/14/",
            "a reader    begins there, or is told OutdatedCursor if events from there on are gone",
        ]

    @pytest.mark.parametrize(
        ("cursor", "said"),
        [
            (0, "begins at 2026-11-20T14:00:00.000000Z: it is no time of ours"),
            (5, "begins at 2026-11-20T14:00:00.000000Z, and is told OutdatedCursor: it is no time of ours"),
            (HOUR_US - 63 * DAY_US, "begins at 2026-09-22T14:00:00.000000Z, and is told OutdatedCursor: only 62 days"),
            (HOUR_US + DAY_US, "is refused: FutureCursor, unless there are numbers beyond the clock"),
        ],
    )
    def test_others(self, cursor: int, said: str) -> None:
        assert described(cursor, HOUR_US)[-1].startswith(f"a reader    {said}")

    def test_the_future_is_said_to_be_that(self) -> None:
        assert described(HOUR_US + DAY_US, HOUR_US)[1].endswith("1 day, 0:00:00 from now")


class TestHolders:
    @pytest.fixture
    def archive(self) -> Archive:
        archive = Archive()
        archive.put_history(EVENTS, block_events=5, object_blocks=3)
        archive.put(block_of(EVENTS[:30], HOUR_US), block_of(EVENTS[30:45], EVENTS[29].seq), folder=Folder.FIREHOSE)
        return archive

    def held(self, archive: Archive, folder: Path, cursor: int, capsys: Printed, status: int = 0) -> list[str]:
        for name, data in archive.objects.objects.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        assert main(["cursor", str(cursor), "--files", str(folder)]) == status
        return [line for line in capsys.readouterr().out.splitlines() if line.startswith("held by")]

    def test_the_block_in_each_object_that_has_it(self, archive: Archive, tmp_path: Path, capsys: Printed) -> None:
        lines = self.held(archive, tmp_path, EVENTS[37].seq, capsys)
        ends = [(EVENTS[30].seq, EVENTS[44].seq), (EVENTS[35].seq, EVENTS[39].seq)]
        assert [line.split("events ")[1] for line in lines] == [f"{first} to {last}" for first, last in ends]
        assert "held by     firehose/2026/11/23/14/" in lines[0]
        assert "block 2 of 2" in lines[0]
        assert "block 2 of 3" in lines[1]

    def test_each_of_objects_that_overlap(self, archive: Archive, tmp_path: Path, capsys: Printed) -> None:
        archive.put(block_of(EVENTS[36:48], EVENTS[35].seq), folder=Folder.FIREHOSE)
        assert len(self.held(archive, tmp_path, EVENTS[37].seq, capsys)) == 3
        assert len(self.held(archive, tmp_path, EVENTS[35].seq, capsys)) == 2

    def test_the_block_is_where_it_says(self, archive: Archive, tmp_path: Path, capsys: Printed) -> None:
        [line] = self.held(archive, tmp_path, EVENTS[59].seq, capsys)
        size, offset = int(line.split(": ")[1].split()[0]), int(line.split("offset ")[1].split(",")[0])
        [data] = [data for key, data in archive.objects.objects.items() if str(EVENTS[59].seq) in key]
        assert data[offset : offset + size] == block_of(EVENTS[55:], EVENTS[54].seq).packed

    def test_between_events_and_before_all_it_is_the_next(
        self, archive: Archive, tmp_path: Path, capsys: Printed
    ) -> None:
        assert self.held(archive, tmp_path, EVENTS[59].seq - 1, capsys) == self.held(
            archive, tmp_path, EVENTS[55].seq, capsys
        )
        assert self.held(archive, tmp_path, HOUR_US - DAY_US, capsys) == self.held(
            archive, tmp_path, EVENTS[0].seq, capsys
        )

    def test_behind_all_it_is_nothing(self, archive: Archive, tmp_path: Path, capsys: Printed) -> None:
        [line] = self.held(archive, tmp_path, EVENTS[59].seq + 1, capsys)
        assert line == "held by     nothing in this archive: every event there is before it"

    def test_a_damaged_object_is_named(self, archive: Archive, tmp_path: Path, capsys: Printed) -> None:
        (tmp_path / "x.ers").write_bytes(b"")
        assert len(self.held(archive, tmp_path, EVENTS[37].seq, capsys, status=1)) == 2


def test_an_archive_that_is_not_there_is_named(tmp_path: Path, capsys: Printed) -> None:
    assert main(["cursor", "0", "--files", str(tmp_path / "none")]) == 1
    assert "edgerelay cursor: " in capsys.readouterr().err
