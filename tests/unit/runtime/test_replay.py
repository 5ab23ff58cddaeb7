"""Replay: a reader with any cursor sees what was written, once and in order, out of the archive and then the log.

The last tests let chance write history, archive it and forget it while readers read, and compare what each saw with the
list of everything that was written: readers of frames, and readers of Jetstream, whose lines may lie in the archive.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from edgerelay.archive.batch import Batch
from edgerelay.archive.block import Contents
from edgerelay.archive.codec import ZLIB, ZlibCodec
from edgerelay.archive.cutting import HOUR_US
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.atproto.messages import MAX_OPS
from edgerelay.relay.channel import Channel, Wire
from edgerelay.relay.filters import EVERYTHING, Filter
from edgerelay.relay.shard_commands import History
from edgerelay.runtime.audit import Audit
from edgerelay.runtime.objects import ObjectStoreError
from edgerelay.runtime.purger import REST_US, Purger
from edgerelay.runtime.purges import Purges
from edgerelay.runtime.replay import RelayAwayError, Replay
from tests.coroutines import finished, no_pause
from tests.histories import NOON_US, Past, Reader
from tests.line_readers import LineReader


@pytest.fixture
def past() -> Iterator[Past]:
    """Sixty-two events, of which the log has forgotten all but the last two."""
    created = Past()
    for _ in range(12):
        created.write(*[1] * 5)
    created.archive_all()
    created.write(1)
    created.write(1)
    assert created.log.missing_up_to == NOON_US + 60
    yield created
    created.close()


@pytest.mark.parametrize("cursor", [1, NOON_US, NOON_US + 1, NOON_US + 33, NOON_US + 60, NOON_US + 62, NOON_US + 63])
def test_a_cursor_in_the_archive_leads_to_the_log(past: Past, cursor: int) -> None:
    reader = Reader(past.replay(), cursor).read_all()
    assert reader.seen == [event for event in past.events if event[0] >= cursor]
    assert not reader.holes


def test_what_cannot_match_is_passed_and_holes_are_told_all_the_same(past: Past) -> None:
    past.objects.objects.pop(sorted(past.objects.objects)[1])

    def is_late(contents: Contents) -> bool:
        return contents.last_seq > NOON_US + 40

    reader = Reader(past.replay(), NOON_US + 1, is_late).read_all()
    assert reader.holes == [(NOON_US + 16, NOON_US + 30)]
    at_the_hole = range(NOON_US + 31, NOON_US + 36)  # a block there is read for what it says of the hole
    assert reader.seen == [event for event in past.events if event[0] in at_the_hole or event[0] > NOON_US + 40]


def test_who_follows_finds_what_was_read_from_the_log(past: Past) -> None:
    asked = []

    async def log(cursor: int) -> History[Batch]:
        asked.append(cursor)
        return await past.read_log(cursor)

    replay = past.replay(log)
    for _ in range(3):
        batch = finished(replay.find(NOON_US + 61)).batch
        assert batch is not None
        assert batch.head.seqs == (NOON_US + 61,)
    assert asked == [NOON_US + 61]


def test_what_is_in_neither_is_told_once(past: Past) -> None:
    names = sorted(past.objects.objects)
    lost = [past.objects.objects.pop(name) for name in names[1:3]]
    reader = Reader(past.replay(), NOON_US + 1).read_all()
    assert len(lost) == 2
    assert reader.holes == [(NOON_US + 16, NOON_US + 45)]
    assert reader.seen == [event for event in past.events if not NOON_US + 16 <= event[0] <= NOON_US + 45]


def test_what_was_before_everything_is_told(past: Past) -> None:
    past.objects.objects.clear()
    reader = Reader(past.replay(), NOON_US + 1).read_all()
    assert reader.holes == [(NOON_US + 1, NOON_US + 60)]
    assert reader.seen == past.events[-2:]


def test_damage_is_told_and_the_reader_goes_on_behind_it(past: Past) -> None:
    name = sorted(past.objects.objects)[1]
    past.objects.objects[name] = past.objects.objects[name][:-1]
    reader = Reader(past.replay(), NOON_US + 1).read_all()
    assert reader.holes == [(NOON_US + 16, NOON_US + 30)]
    assert reader.seen == [event for event in past.events if not NOON_US + 16 <= event[0] <= NOON_US + 30]
    ((problem, last_seq),) = [line.values() for line in past.lines.named("archive_damaged")]
    assert (problem, last_seq) == ("it begins as a container and does not end as one", NOON_US + 30)


def test_damage_ends_where_the_log_begins() -> None:
    """The object holds more than the log has forgotten."""
    past = Past(stop_bytes=1_000, group_bytes=10**6)
    for _ in range(12):
        past.write(*[1] * 5)
    past.archive_all()
    past.write(1)
    (name,) = past.objects.objects
    past.objects.objects[name] = b"damaged"
    forgotten_seq = past.log.missing_up_to
    assert NOON_US < forgotten_seq < NOON_US + 60
    reader = Reader(past.replay(), NOON_US + 1).read_all()
    assert reader.holes == [(NOON_US + 1, forgotten_seq)]
    assert reader.seen == [event for event in past.events if event[0] > forgotten_seq]
    past.close()


def test_what_was_forgotten_since_the_log_was_asked_is_found_in_the_archive(past: Past) -> None:
    """The archive begins behind all that the log had forgotten when it was asked for the last time."""
    replay = past.replay()
    assert Reader(replay, NOON_US + 1).read_all().seen == past.events
    past.archive_all()
    lost = sorted(past.objects.objects)
    for _ in range(4):
        past.write(*[1] * 15)
        past.archive_all()
    past.write(1)
    for name in lost:
        del past.objects.objects[name]
    last_lost = ObjectName.parse(lost[-1]).last_seq
    reader = Reader(replay, NOON_US + 1)
    reader.read_all()
    assert reader.holes == [(NOON_US + 1, last_lost)]
    assert reader.seen == [event for event in past.events if event[0] > last_lost]


def test_a_bucket_that_is_down_is_no_hole(past: Past) -> None:
    reader = Reader(past.replay(), NOON_US + 1)
    reader.step()
    past.objects.problem = "down"
    for _ in range(3):
        with pytest.raises(ObjectStoreError, match="down"):
            reader.read_all()
    past.objects.problem = ""
    assert reader.read_all().seen == past.events
    assert not reader.holes


def test_readers_of_what_the_log_still_has_do_not_need_the_bucket(past: Past) -> None:
    past.objects.problem = "down"
    assert Reader(past.replay(), NOON_US + 61).read_all().seen == past.events[-2:]


GAPS = st.lists(st.one_of(st.integers(1, 9), st.integers(1, HOUR_US)), min_size=1, max_size=9)
STEPS = st.lists(
    st.one_of(
        GAPS,
        st.sampled_from(["archive all", "open", "refused", "lost", "down"]),
        st.integers(0, 4),
        st.tuples(st.sampled_from(["reader", "step"]), st.integers(0, 200)),
    ),
    max_size=40,
)


class TestWithoutTheLog:
    """RelayState is away."""

    @pytest.fixture
    def replay(self, past: Past) -> Replay[Batch]:
        async def away(_: int) -> History[Batch]:
            raise RelayAwayError("stopped")

        return Replay(past.reader(), past.kept_lines(), away, past.lines)

    @pytest.mark.parametrize("cursor", [1, NOON_US + 1, NOON_US + 33, NOON_US + 60])
    def test_the_archive_is_read_to_its_end_and_then_one_waits(
        self, past: Past, replay: Replay[Batch], cursor: int
    ) -> None:
        reader = Reader(replay, cursor)
        with pytest.raises(RelayAwayError):
            reader.read_all()
        assert reader.seen == [event for event in past.events if cursor <= event[0] <= NOON_US + 60]
        assert not reader.holes

    def test_a_gap_is_not_passed_over_and_not_told(self, past: Past, replay: Replay[Batch]) -> None:
        del past.objects.objects[sorted(past.objects.objects)[1]]
        reader = Reader(replay, NOON_US + 1)
        with pytest.raises(RelayAwayError):
            reader.read_all()
        assert reader.seen
        assert (reader.holes, reader.seen[-1][0] < NOON_US + 60) == ([], True)

    def test_damage_waits_too(self, past: Past, replay: Replay[Batch]) -> None:
        for name in past.objects.objects:
            past.objects.objects[name] = past.objects.objects[name][:-5]
        with pytest.raises(RelayAwayError):
            finished(replay.find(NOON_US + 1))


@given(STEPS, st.sampled_from([1, 1_000, 10**6]))
def test_every_reader_sees_everything_from_its_cursor_on(
    steps: list[list[int] | str | int | tuple[str, int]], stop_bytes: int
) -> None:
    past = Past(stop_bytes=stop_bytes)
    replay = past.replay()
    readers: list[Reader] = [Reader(replay, 1)]
    for step in steps:
        match step:
            case list():
                past.write(*step)
            case int():
                past.archive(pauses=step)
            case "archive all":
                past.archive_all()
            case "open":
                past.open()
                replay = past.replay()
                for reader in readers:
                    reader.replay = replay
            case "down":
                past.objects.problem = "" if past.objects.problem else "down"
            case "refused" | "lost":
                past.objects.faults.append(step)
            case ("reader", number):
                near = past.events[number % len(past.events)][0] if past.events else NOON_US
                readers.append(Reader(replay, near + number % 3 - 1))
            case ("step", number):
                try:
                    readers[number % len(readers)].step()
                except ObjectStoreError:
                    assert past.objects.problem
    past.objects.problem = ""
    for reader in readers:
        reader.read_all()
        assert not reader.holes
        assert reader.seen == [event for event in past.events if event[0] >= reader.first]
    past.close()


EVENT_GAPS = st.lists(st.one_of(st.integers(1, 9), st.integers(1, HOUR_US // 4)), min_size=1, max_size=9)
WANTED = st.sampled_from(
    [EVERYTHING, Filter(collections=frozenset(["app.test.kind1"])), Filter(dids=frozenset(["did:plc:2", "did:plc:3"]))]
)
HIDDEN = "did:plc:3"
NUMBERS = st.integers(0, 200)
LINE_WIRES = st.sampled_from([Wire.LINES, Wire.ZSTD_LINES])


class LineHistories(RuleBasedStateMachine):
    """Chance writes, archives, joins, loses, damages and purges; what readers of lines get never shows it."""

    @initialize(stop_bytes=st.sampled_from([1, 1_000, 10**6]), hidden=st.sampled_from(["", HIDDEN]))
    def begin(self, stop_bytes: int, hidden: str) -> None:
        self.past = Past(stop_bytes=stop_bytes, width=3)
        self.hidden = frozenset(filter(None, [hidden]))
        self.replay = self.past.replay()
        self.delivered = 0
        self.readers: list[LineReader] = []
        self._read_from(1, Channel(Wire.LINES))

    @rule(gaps=EVENT_GAPS)
    def write(self, gaps: list[int]) -> None:
        self.past.write(*gaps)

    @rule(number=NUMBERS, wanted=WANTED, wire=LINE_WIRES, beside=st.integers(-1, 3))
    def come(self, number: int, wanted: Filter, wire: Wire, beside: int) -> None:
        """A client's cursor may be anything."""
        cursor = self._near(number) + beside
        self._read_from(max(0, cursor - MAX_OPS + 1), Channel(wire, wanted), cursor)

    @rule(number=NUMBERS, wanted=WANTED, wire=LINE_WIRES)
    def fall_behind(self, number: int, wanted: Filter, wire: Wire) -> None:
        """A reader that was live had all of an event, whatever its width."""
        self._read_from(self._near(number) + 1, Channel(wire, wanted))

    def _near(self, number: int) -> int:
        return self.past.events[number % len(self.past.events)][0] if self.past.events else NOON_US

    def _read_from(self, cursor: int, channel: Channel, first_number: int = 0) -> None:
        self.readers.append(LineReader(self.past, self.replay, cursor, channel, self.hidden, first_number))

    @rule(number=NUMBERS)
    def step(self, number: int) -> None:
        self.readers[number % len(self.readers)].step()

    @rule()
    def archive(self) -> None:
        self.past.archive_all()

    @rule()
    def deliver(self) -> None:
        """The lines of the next groups are written."""
        while self.delivered < len(self.past.queue.messages):
            self.past.deliver(self.delivered)
            self.delivered += 1

    @rule(number=NUMBERS)
    def deliver_one(self, number: int) -> None:
        """Lines come late and in any order."""
        if self.past.queue.messages:
            self.past.deliver(number % len(self.past.queue.messages))

    @rule(segment_bytes=st.sampled_from([1_000, 10**6]))
    def compact(self, segment_bytes: int) -> None:
        self.past.clock.now_us += HOUR_US
        self.past.compact(segment_bytes)

    @rule(number=NUMBERS)
    def cannot_be_rendered(self, number: int) -> None:
        """And its group has no lines."""
        if self.past.events:
            self.past.damaged_frames.add(self.past.events[number % len(self.past.events)][1])

    @rule(number=NUMBERS, is_lost=st.booleans())
    def lose_lines(self, number: int, is_lost: bool) -> None:
        objects = self.past.objects.objects
        names = [name for name in sorted(objects) if name.startswith(Folder.JETSTREAM)]
        if names and is_lost:
            del objects[names[number % len(names)]]
        elif names:
            name = names[number % len(names)]
            objects[name] = objects[name][:-1]

    @rule()
    def forget(self) -> None:
        """The shard begins anew."""
        self.replay = self.past.replay()
        for reader in self.readers:
            reader.replay = self.replay

    @precondition(lambda self: self.hidden)
    @rule()
    def purge(self) -> None:
        """Frames and lines of the account that is hidden go, unless it takes too long."""
        past = self.past
        purges, audit = Purges(past.sql), Audit(past.sql)
        purger = Purger(past.objects, {ZLIB: ZlibCodec()}, purges, audit, lambda: past.log, past.lines, past.clock)
        purger.order(HIDDEN)
        for _ in range(5):
            past.clock.now_us += REST_US
            finished(purger.run(no_pause))

    def teardown(self) -> None:
        for reader in self.readers:
            reader.read_all()
            assert not reader.holes
            assert reader.seen == reader.expected()
        self.past.close()


def test_readers_of_jetstream_get_the_lines_of_everything_whatever_lines_lie_there() -> None:
    run_state_machine_as_test(LineHistories)
