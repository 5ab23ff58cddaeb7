"""Readers of a host that is really served, in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from time import monotonic, time

import pytest

from edgerelay.atproto.dagcbor import decode_pair
from edgerelay_dev.network.background import NetworkThread
from edgerelay_dev.network.event import error_frame, info_frame
from edgerelay_dev.network.host import Host
from edgerelay_dev.network.network import SimulatedNetwork
from edgerelay_dev.network.reader import FrameReader, StreamClosed
from edgerelay_dev.network.subscription import StreamRules

OUTDATED = info_frame("OutdatedCursor", "Requested cursor exceeded limit. Possibly missing events")
FRAMES = 8
"""Two accounts, four events each."""


class Served:
    """A network of one host, and what a test does with it."""

    def __init__(self, thread: NetworkThread) -> None:
        self.thread = thread
        self.host: Host = thread.network.hosts[0]

    def subscribe(self, cursor: int | str | None = None) -> FrameReader:
        return FrameReader(self.host.ws_url, cursor)

    def emit(self, count: int = 1) -> list[bytes]:
        """Let events happen; returns the frames."""

        def run(network: SimulatedNetwork) -> list[bytes]:
            before = self.host.log.newest
            account = next(iter(self.host.accounts.values()))
            for _ in range(count):
                self.host.announce_identity(account)
            return [message.frame for message in self.host.frames if message.seq > before]

        return self.thread.call(run)

    def set(self, **faults: object) -> None:
        self.thread.call(lambda _: self.host.faults.set(**faults))

    def frames_after(self, seq: int) -> list[bytes]:
        return [message.frame for message in self.host.frames if message.seq > seq]

    def wait_for_subscriptions(self, count: int) -> None:
        limit = monotonic() + 5
        while self.thread.call(lambda _: len(self.host.faults.sockets)) != count:
            assert monotonic() < limit, "subscriptions"


@pytest.fixture
def rules() -> StreamRules:
    return StreamRules()


@pytest.fixture
def served(rules: StreamRules) -> Iterator[Served]:
    with NetworkThread(SimulatedNetwork("subscription", accounts=2, rules=rules)) as thread:
        yield Served(thread)


def read(reader: FrameReader, count: int) -> list[bytes]:
    return [reader.read() for _ in range(count)]


def seconds_ahead(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time()


class TestCursor:
    @pytest.mark.parametrize(("cursor", "after"), [(0, 0), (-1, 0), (3, 3), (FRAMES - 1, FRAMES - 1)])
    def test_replay_starts_behind_the_cursor_and_goes_on_live(self, served: Served, cursor: int, after: int) -> None:
        with served.subscribe(cursor) as reader:
            expected = served.frames_after(after)
            assert read(reader, len(expected)) == expected
            live = served.emit(3)
            assert read(reader, 3) == live

    @pytest.mark.parametrize("rules", [StreamRules(inclusive=True)])
    @pytest.mark.parametrize(("cursor", "after"), [(0, 0), (1, 0), (3, 2), (FRAMES, FRAMES - 1)])
    def test_inclusive_replay_starts_at_the_cursor(self, served: Served, cursor: int, after: int) -> None:
        with served.subscribe(cursor) as reader:
            expected = served.frames_after(after)
            assert read(reader, len(expected)) == expected

    @pytest.mark.parametrize("cursor", [None, "", FRAMES])
    def test_without_a_cursor_or_at_the_newest_only_live_events_come(self, served: Served, cursor: str | None) -> None:
        with served.subscribe(cursor) as reader:
            served.wait_for_subscriptions(1)
            assert served.emit() == read(reader, 1)

    @pytest.mark.parametrize(
        ("cursor", "name"), [(FRAMES + 1, "FutureCursor"), (1 << 60, "FutureCursor"), ("abc", "InvalidRequest")]
    )
    def test_bad_cursor_gets_an_error_frame_and_a_close(self, served: Served, cursor: int | str, name: str) -> None:
        reader = served.subscribe(cursor)
        header, body = decode_pair(reader.read())
        assert isinstance(body, dict)
        assert (header, body["error"]) == ({"op": -1}, name)
        with pytest.raises(StreamClosed, match=f"1008 {name}"):
            reader.read()

    @pytest.mark.parametrize("rules", [StreamRules(checks_future_cursor=False)])
    def test_some_hosts_take_a_future_cursor_for_the_live_edge(self, served: Served) -> None:
        with served.subscribe(1 << 60) as reader:
            served.wait_for_subscriptions(1)
            assert served.emit() == read(reader, 1)

    def test_cursor_older_than_the_window_is_told_and_gets_all_of_it(self, served: Served) -> None:
        served.thread.call(lambda _: served.host.log.forget(4))
        with served.subscribe(2) as reader:
            assert read(reader, 5) == [OUTDATED, *served.frames_after(4)]
        with served.subscribe(4) as reader:
            assert read(reader, 4) == served.frames_after(4)
        with served.subscribe(0) as reader:
            assert read(reader, 4) == served.frames_after(4)


class TestFaults:
    def test_drop_cuts_without_a_close_frame(self, served: Served) -> None:
        with served.subscribe() as reader:
            served.wait_for_subscriptions(1)
            assert served.thread.call(lambda _: served.host.faults.drop()) == 1
            with pytest.raises(StreamClosed) as closed:
                reader.read()
            assert closed.value.code is None
        with served.subscribe(0) as reader:
            assert read(reader, FRAMES) == served.frames_after(0)

    def test_stall_sends_nothing_until_it_ends(self, served: Served) -> None:
        served.set(stall=True)
        with FrameReader(served.host.ws_url, 0, timeout_s=0.1) as reader:
            with pytest.raises(TimeoutError):
                reader.read()
            served.set(stall=False)
            assert read(reader, FRAMES) == served.frames_after(0)

    def test_slow_host_keeps_its_pace(self, served: Served) -> None:
        size = sum(len(message.wire) for message in served.host.frames)
        served.set(bytes_per_s=size * 5)
        started = monotonic()
        with served.subscribe(0) as reader:
            read(reader, FRAMES)
        # The pause comes after each frame, so the last one's is not seen.
        assert monotonic() - started > 0.1

    def test_connection_can_end_after_some_frames(self, served: Served) -> None:
        served.set(close_after_frames=3)
        with served.subscribe(0) as reader:
            assert list(reader) == served.frames_after(0)[:3]
        served.set(close_after_frames=0)
        with served.subscribe(0) as reader:
            assert list(reader) == []

    def test_status_instead_of_an_upgrade(self, served: Served) -> None:
        served.set(upgrade_status=429, retry_after_s=9)
        with pytest.raises(StreamClosed, match="429 Too Many Requests"):
            served.subscribe()

    def test_hangup_answers_nothing(self, served: Served) -> None:
        served.set(hangup=True)
        with pytest.raises(StreamClosed, match="connection lost"):
            served.subscribe()

    def test_mute_never_answers(self, served: Served) -> None:
        served.set(mute=True)
        with pytest.raises(TimeoutError):
            FrameReader(served.host.ws_url, timeout_s=0.1)

    def test_every_cursor_can_be_a_future_one(self, served: Served) -> None:
        served.set(future_cursor=True)
        reader = served.subscribe(1)
        assert reader.read() == error_frame("FutureCursor", "Cursor in the future.")
        reader.close()

    def test_reset_starts_over_and_old_cursors_lie_in_the_future(self, served: Served) -> None:
        with served.subscribe() as reader:
            served.wait_for_subscriptions(1)
            served.thread.call(lambda _: served.host.reset_sequence())
            assert list(reader) == []
        (frame,) = served.emit()
        with served.subscribe(FRAMES) as reader:
            assert reader.read() == error_frame("FutureCursor", "Cursor in the future.")
        with served.subscribe(0) as reader:
            assert reader.read() == frame

    def test_frames_outside_of_the_sequence(self, served: Served) -> None:
        faults = served.host.faults
        with served.subscribe() as reader:
            served.wait_for_subscriptions(1)
            served.thread.call(lambda _: faults.send_error("ConsumerTooSlow", "m"))
            served.thread.call(lambda _: faults.send_info("Greetings", "m"))
            served.thread.call(lambda _: faults.send_text("text"))
            expected = [error_frame("ConsumerTooSlow", "m"), info_frame("Greetings", "m"), b"text"]
            assert read(reader, 3) == expected

    @pytest.mark.parametrize("rules", [StreamRules(max_lag_frames=5)])
    def test_slow_reader_is_told_and_closed(self, served: Served) -> None:
        with served.subscribe(FRAMES) as reader:
            served.wait_for_subscriptions(1)
            served.set(bytes_per_s=1_000)
            served.emit(50)
            *_, last = reader
        assert last == error_frame("ConsumerTooSlow", "Stream consumer too slow")

    def test_date_of_the_upgrade_is_told_as_skewed_as_wanted(self, served: Served) -> None:
        served.set(date_skew_s=-1_200)
        with served.subscribe() as reader:
            assert -1_210 < seconds_ahead(reader.headers["date"]) < -1_190
        served.set(date_skew_s=0)
        with served.subscribe() as reader:
            assert abs(seconds_ahead(reader.headers["date"])) < 10
        served.set(omit_date=True)
        with served.subscribe() as reader:
            assert "date" not in reader.headers


def test_reader_that_leaves_is_forgotten(served: Served) -> None:
    with served.subscribe():
        served.wait_for_subscriptions(1)
    served.wait_for_subscriptions(0)
