"""One host: what a handful of frames is sorted into, and where reading goes on."""

from __future__ import annotations

import pytest

from edgerelay.atproto.frames import ErrorFrame
from edgerelay.atproto.messages import Info
from edgerelay.config import Settings
from edgerelay.relay.host import Host
from edgerelay.relay.intake import Intake, ResetProven
from edgerelay.relay.position import Position, PositionRow
from edgerelay.relay.reject import RejectReason
from edgerelay.relay.rejections import Example, Refused
from edgerelay.relay.restored import Restored
from edgerelay.relay.upstream import Upstream, UpstreamPolicy, UpstreamState
from tests.oracle import frames
from tests.playbook import exact

DID, NOW_US = frames.did(1), frames.NOW_US
POLICY = UpstreamPolicy(20, 120, 30, 60)


def host(low: int = 0, *, epoch: int = 0, from_live: bool = False) -> Host:
    position = Position(PositionRow(1, epoch, low, (), 0, 0))
    intake = Intake(position, lambda did, rev: True, strict=True, from_live=from_live)
    return Host("wss://pds.test", Upstream(POLICY, lambda: 0.0, NOW_US), position, intake, from_live=from_live)


def identity(seq: int) -> bytes:
    return frames.identity(seq, DID)


class TestCatch:
    def test_frames_are_sorted_in_the_order_of_their_arrival(self) -> None:
        made = host(4)
        some = [identity(5), frames.frame("#label", {"seq": 6}), frames.frame("#info", {}), identity(7), identity(4)]
        made.upstream.connecting(NOW_US)
        made.opened(NOW_US)
        catch = made.catch([identity(4), *some], NOW_US + 5)
        assert [each.message.seq for each in catch.candidates] == [5, 7]
        assert [each.reason for each in catch.refused] == [RejectReason.UNKNOWN_KIND, RejectReason.SEQ_ORDER]
        assert (catch.notes, catch.ended) == ([Info("", "")], None)
        counts = made.counts
        size_bytes = len(identity(4)) + sum(map(len, some))
        assert (counts.frames, counts.bytes, counts.repeats, counts.infos, counts.sockets) == (6, size_bytes, 1, 1, 1)
        assert made.rejects.total == 2
        latest = Example(NOW_US + 5, Refused(RejectReason.SEQ_ORDER, "4 after 7", "#identity", 4, DID))
        assert made.rejects.latest(RejectReason.SEQ_ORDER) == [latest]
        assert made.rejects.frame(RejectReason.SEQ_ORDER) == identity(4)
        assert made.upstream.wake_us() == NOW_US + 5 + 120_000_000

    def test_behind_an_error_nothing_is_looked_at(self) -> None:
        made = host()
        catch = made.catch([identity(1), frames.error("ConsumerTooSlow", "bye"), identity(2)], NOW_US)
        assert ([each.message.seq for each in catch.candidates], made.counts.frames) == ([1], 2)
        assert catch.ended == ErrorFrame("ConsumerTooSlow", "bye")

    def test_behind_a_proof_of_a_reset_nothing_is_looked_at(self) -> None:
        made = host(10)
        catch = made.catch([frames.commit(3, DID, frames.tid(9)), identity(4)], NOW_US)
        assert exact([catch.ended]) == exact([ResetProven(3)])
        assert (catch.candidates, made.counts.frames) == ([], 1)


class TestCursor:
    @pytest.mark.parametrize(
        ("low", "epoch", "from_live", "cursor"),
        [(0, 0, True, None), (0, 0, False, 0), (7, 0, True, 7), (7, 0, False, 7), (0, 1, True, 0)],
    )
    def test_where_reading_goes_on(self, low: int, epoch: int, from_live: bool, cursor: int | None) -> None:
        made = host(low, epoch=epoch, from_live=from_live)
        assert made.cursor == cursor
        assert made.connecting(NOW_US) == (1, cursor)
        assert (made.asked_cursor, made.upstream.state) == (cursor, UpstreamState.CONNECTING)

    def test_what_a_connection_was_opened_with_does_not_move(self) -> None:
        made = host(7)
        made.connecting(NOW_US)
        made.catch([frames.frame("#label", {"seq": 9})], NOW_US)
        assert (made.cursor, made.asked_cursor) == (9, 7)


def test_a_host_that_began_anew_is_read_from_its_beginning() -> None:
    made = host(7, from_live=True)
    made.catch([identity(9)], NOW_US)
    made.restart()
    assert (made.cursor, made.counts.resets, made.position.epoch) == (0, 1, 1)
    assert [each.epoch for each in made.catch([identity(1)], NOW_US).candidates] == [1]


class TestOf:
    def of(self, **settings: str) -> Host:
        rows = (PositionRow(2, 0, 99, (), 0, 0), PositionRow(1, 3, 77, (), 5, 0))
        restored = Restored(1, rows, connection=6)
        chosen = Settings.from_mapping({"UPSTREAM": "wss://pds.test", **settings})
        return Host.of(chosen, restored, lambda did, rev: True, lambda: 0.0, NOW_US)

    def test_it_goes_on_where_the_relay_before_left_it(self) -> None:
        made = self.of()
        assert (made.url, made.origin, made.connecting(NOW_US)) == ("wss://pds.test", "https://pds.test", (7, 77))

    def test_without_an_upstream_it_is_stopped(self) -> None:
        assert self.of(UPSTREAM="").upstream.state is UpstreamState.STOPPED
