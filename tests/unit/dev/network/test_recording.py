from __future__ import annotations

import io
from collections.abc import Iterator
from math import inf
from pathlib import Path
from time import monotonic

import pytest

from edgerelay.atproto.dagcbor import decode_pair
from edgerelay_dev.network.event import info_frame
from edgerelay_dev.network.host import Host
from edgerelay_dev.network.log import Batch
from edgerelay_dev.network.recording import RecordedFeed, Recorder, ReplayingHost, read_recording
from edgerelay_dev.network.repository import Create

MUCH = 1 << 40
START = 500


@pytest.fixture
def frames(host: Host) -> list[bytes]:
    """Ten frames from number 501 on; a path spells what a careless search for the number would find."""
    host.log.skip(START)
    account = host.create_account()
    host.commit(account, *(Create(f"cseq.dtime.x/cseq{number}", {"seq": 505}) for number in range(3)))
    for _ in range(5):
        host.announce_identity(account)
    return [message.frame for message in host.frames]


def unframed(wire: bytes) -> Iterator[bytes]:
    """Take WebSocket headers off again."""
    while wire:
        length, at = wire[1], 2
        if length >= 126:
            at = 4 if length == 126 else 10
            length = int.from_bytes(wire[2:at], "big")
        yield wire[at : at + length]
        wire = wire[at + length :]


def read(feed: RecordedFeed, after: int, max_bytes: int = MUCH) -> list[bytes]:
    batch = feed.read(after, max_bytes)
    assert batch is not None
    frames = list(unframed(batch.wire))
    assert batch.frames == len(frames)
    assert batch.last_seq == seq_of(frames[-1])
    return frames


def body_of(frame: bytes) -> dict[str, object]:
    _, body = decode_pair(frame)
    assert isinstance(body, dict)
    return dict(body)


def seq_of(frame: bytes) -> object:
    return body_of(frame)["seq"]


def test_recorder_writes_what_can_be_read(host: Host, tmp_path: Path) -> None:
    file = io.BytesIO()
    host.listeners.append(Recorder(file))
    host.create_account()
    path = tmp_path / "recording.bin"
    path.write_bytes(file.getvalue())
    assert list(read_recording(path)) == [message.frame for message in host.frames]


def test_recording_that_ends_within_a_frame_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recording.bin"
    path.write_bytes(b"\x00\x00\x00\x05abc")
    with pytest.raises(ValueError, match="ends within a frame"):
        list(read_recording(path))


def test_replay_keeps_every_byte_and_number(frames: list[bytes]) -> None:
    feed = RecordedFeed(frames)
    assert (feed.forgotten, feed.newest, feed.live_edge) == (START, START + 10, START)
    assert read(feed, 0) == frames
    assert read(feed, START + 4) == frames[4:]
    assert feed.read(START + 10, MUCH) is None
    assert len(read(feed, START, max_bytes=1)) == 1


def test_replay_leaves_out_what_has_no_number(frames: list[bytes]) -> None:
    assert read(RecordedFeed([info_frame("a", "b"), *frames]), 0) == frames
    with pytest.raises(ValueError, match="without frames"):
        RecordedFeed([info_frame("a", "b")])


def test_loop_goes_on_with_growing_numbers(frames: list[bytes]) -> None:
    feed = RecordedFeed(frames[:9], loop=True)
    after = 0
    seen: list[bytes] = []
    while len(seen) < 40:
        part = read(feed, after, max_bytes=3_000)
        seen += part
        after = int(str(seq_of(part[-1])))
    assert [seq_of(frame) for frame in seen] == [START + 1 + number for number in range(len(seen))]
    for number, frame in enumerate(seen):
        assert body_of(frame) | {"seq": 0} == body_of(frames[number % 9]) | {"seq": 0}
    assert feed.newest == (1 << 53) - 1


def test_loop_of_a_recording_with_gaps_can_be_entered_anywhere(frames: list[bytes]) -> None:
    feed = RecordedFeed([frames[0], frames[4], frames[9]], loop=True)
    numbers = [START + number + 10 * turn for turn in range(4) for number in (1, 5, 10)]
    for after in range(START, START + 35):
        expected = next(number for number in numbers if number > after)
        assert seq_of(read(feed, after, max_bytes=1)[0]) == expected


def test_restamp_gives_the_present_time_alone(frames: list[bytes]) -> None:
    stamped = read(RecordedFeed(frames, restamp=True), 0)
    assert len(stamped) == len(frames)
    for before, after in zip(frames, stamped, strict=True):
        assert str(body_of(after)["time"]) != body_of(before)["time"]
        assert body_of(after) | {"time": ""} == body_of(before) | {"time": ""}


async def test_rate_releases_frames_little_by_little(frames: list[bytes]) -> None:
    feed = RecordedFeed(frames, rate=100)
    assert feed.newest == START
    assert feed.live_edge == START
    assert feed.read(START, MUCH) is None
    started, after = monotonic(), START
    while after < START + 10:
        await feed.wait(after)
        batch: Batch | None = feed.read(after, MUCH)
        after = batch.last_seq if batch else after
    assert 0.09 < monotonic() - started < 5
    assert feed.newest == feed.live_edge == START + 10


@pytest.mark.parametrize("name", ["pds1", "deep", "arroba"])
def test_real_recordings_are_cut_at_their_numbers(shared_data: Path, name: str) -> None:
    frames = list(read_recording(shared_data / f"capture/{name}.bin"))
    assert read(RecordedFeed(frames), 0) == frames
    again = read(RecordedFeed(frames, loop=True), int(str(seq_of(frames[-1]))), max_bytes=1)
    assert body_of(again[0]) | {"seq": 0} == body_of(frames[0]) | {"seq": 0}


def test_replaying_host_has_a_stream_and_no_accounts(frames: list[bytes]) -> None:
    host = ReplayingHost(RecordedFeed(frames, rate=inf), url="http://localhost:1")
    assert (host.ws_url, host.accounts) == ("ws://localhost:1", {})
