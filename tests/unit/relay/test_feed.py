"""The feed: what shards are sent, what they are spared, and how a lost one comes back."""

from __future__ import annotations

from edgerelay.archive.batch import Batch, BatchBuilder
from edgerelay.relay.commands import CloseShard, DialShard, FeedBatch, FeedHead, ForgetShard, RememberShard
from edgerelay.relay.feed import REDIAL_US, SILENT_US, WINDOW_BYTES, Feed, LinkState, ShardLink
from edgerelay.relay.roster import ShardLoad
from tests.playbook import exact

NOW_US = 1_795_000_000_000_000


def batch(seq: int, size_bytes: int = 10) -> Batch:
    builder = BatchBuilder(seq - 1)
    builder.add(seq, "#sync", "d", (), bytes(size_bytes))
    return builder.build([], b"")


def open_feed(*names: str, last_seq: int = 7) -> Feed:
    feed = Feed([(name, "weur") for name in names])
    feed.dial_due(NOW_US)
    for name in names:
        assert exact(feed.opened(name, last_seq, NOW_US)) == exact([FeedHead(name, last_seq)])
    return feed


def link(feed: Feed) -> ShardLink:
    [only] = feed.links
    return only


class TestDial:
    def test_a_shard_that_asks_is_remembered_and_dialed(self) -> None:
        feed = Feed([])
        assert exact(feed.asked("a", "weur", NOW_US)) == exact([RememberShard("a", "weur"), DialShard("a", "weur")])
        assert feed.asked("a", "weur", NOW_US) == []

    def test_remembered_shards_are_dialed_after_a_restart(self) -> None:
        feed = Feed([("a", "weur"), ("b", "enam")])
        assert feed.wake_us() == 0
        assert exact(feed.dial_due(NOW_US)) == exact([DialShard("a", "weur"), DialShard("b", "enam")])
        assert (feed.dial_due(NOW_US), feed.wake_us()) == ([], None)

    def test_a_lost_shard_is_dialed_again_after_a_pause(self) -> None:
        feed = open_feed("a")
        feed.closed("a", NOW_US)
        assert feed.wake_us() == NOW_US + REDIAL_US
        assert feed.dial_due(NOW_US + REDIAL_US - 1) == []
        assert exact(feed.asked("a", "weur", NOW_US + REDIAL_US)) == exact([DialShard("a", "weur")])

    def test_a_shard_that_does_not_pick_up_is_dialed_anew(self) -> None:
        feed = Feed([("a", "weur")])
        feed.dial_due(NOW_US)
        assert feed.dial_due(NOW_US + SILENT_US) == []
        assert exact(feed.dial_due(NOW_US + SILENT_US + 1)) == exact([CloseShard("a")])
        assert exact(feed.dial_due(NOW_US + SILENT_US + 1 + REDIAL_US)) == exact([DialShard("a", "weur")])

    def test_a_shard_that_asks_although_it_is_fed_has_lost_its_end(self) -> None:
        feed = open_feed("a")
        assert feed.asked("a", "weur", NOW_US + REDIAL_US - 1) == []
        assert exact(feed.asked("a", "weur", NOW_US + REDIAL_US)) == exact([CloseShard("a"), DialShard("a", "weur")])

    def test_nobody_asked_for_what_opens(self) -> None:
        feed = Feed([])
        assert exact(feed.opened("a", 7, NOW_US)) == exact([CloseShard("a")])
        feed.closed("a", NOW_US)
        assert feed.acked("a", 5, 1, 7, NOW_US) == []
        assert feed.links == []


class TestSend:
    def test_every_open_shard_gets_every_batch(self) -> None:
        feed = open_feed("a", "b")
        first = batch(8)
        assert exact(feed.send(first, NOW_US)) == exact([FeedBatch("a", first), FeedBatch("b", first)])

    def test_a_shard_that_is_not_open_gets_nothing(self) -> None:
        feed = Feed([("a", "weur")])
        assert feed.send(batch(8), NOW_US) == []
        feed.dial_due(NOW_US)
        assert feed.send(batch(8), NOW_US) == []

    def test_one_batch_may_be_larger_than_the_window(self) -> None:
        feed, large = open_feed("a"), batch(8, WINDOW_BYTES + 1)
        assert exact(feed.send(large, NOW_US)) == exact([FeedBatch("a", large)])

    def test_a_slow_shard_is_skipped_until_it_has_caught_up(self) -> None:
        feed, half = open_feed("a"), WINDOW_BYTES // 2
        assert len(feed.send(batch(8, half), NOW_US)) == 1
        assert feed.send(batch(9, half), NOW_US) == []
        assert feed.send(batch(10), NOW_US) == [], "once skipped, a small batch would leave a gap"
        assert feed.acked("a", 7, 3, 10, NOW_US) == []
        assert exact(feed.acked("a", 8, 3, 10, NOW_US)) == exact([FeedHead("a", 10)])
        assert len(feed.send(batch(11), NOW_US)) == 1

    def test_the_window_is_in_bytes(self) -> None:
        feed = open_feed("a")
        sizes = [batch(seq, 1_000_000).size_bytes for seq in range(8, 13)]
        for seq in range(8, 13):
            assert len(feed.send(batch(seq, 1_000_000), NOW_US)) == 1
        assert link(feed).unacked_bytes == sum(sizes) <= WINDOW_BYTES
        assert feed.send(batch(13, 1_000_000), NOW_US) == []
        feed.acked("a", 10, 1, 13, NOW_US)
        assert link(feed).unacked_bytes == sum(sizes[3:])


class TestAcks:
    def test_what_a_shard_tells(self) -> None:
        feed = open_feed("a")
        feed.send(batch(8), NOW_US)
        assert feed.acked("a", 8, 12, 8, NOW_US + 5) == []
        assert (link(feed).clients, link(feed).acked_seq, link(feed).heard_us) == (12, 8, NOW_US + 5)
        feed.acked("a", 3, 12, 8, NOW_US + 6)
        assert link(feed).acked_seq == 8

    def test_what_it_runs_on(self) -> None:
        feed = open_feed("a")
        feed.told("a", "isolate 7", ShardLoad(), buffered_amount=True)
        feed.told("b", "nobody's", ShardLoad(), buffered_amount=False)
        assert (link(feed).isolate, link(feed).buffered_amount) == ("isolate 7", True)

    def test_a_shard_without_readers_is_forgotten(self) -> None:
        feed = open_feed("a")
        assert exact(feed.acked("a", 8, 0, 8, NOW_US)) == exact([ForgetShard("a"), CloseShard("a")])
        assert feed.links == []

    def test_a_shard_that_acknowledges_nothing_is_dialed_anew(self) -> None:
        feed = open_feed("a")
        assert feed.dial_due(NOW_US + 2 * SILENT_US) == [], "it had nothing to acknowledge"
        sent_us = NOW_US + 2 * SILENT_US
        feed.send(batch(8), sent_us)
        feed.send(batch(9), sent_us + SILENT_US)
        assert feed.dial_due(sent_us + SILENT_US) == []
        assert exact(feed.dial_due(sent_us + SILENT_US + 1)) == exact([CloseShard("a")])
        assert (link(feed).state, link(feed).unacked_bytes, len(link(feed).on_the_way)) == (LinkState.WAITING, 0, 0)
        assert exact(feed.dial_due(sent_us + SILENT_US + 1 + REDIAL_US)) == exact([DialShard("a", "weur")])

    def test_a_feed_that_opens_again_begins_with_nothing_on_the_way(self) -> None:
        feed = open_feed("a")
        feed.send(batch(8, WINDOW_BYTES), NOW_US)
        feed.send(batch(9), NOW_US)
        assert link(feed).skipped
        assert exact(feed.opened("a", 9, NOW_US)) == exact([FeedHead("a", 9)])
        assert (link(feed).skipped, len(feed.send(batch(10), NOW_US))) == (False, 1)


def test_a_clock_that_was_set_changes_nothing() -> None:
    feed = open_feed("a")
    feed.closed("a", NOW_US)
    feed.shift_clock(-1_200_000_000)
    assert feed.wake_us() == NOW_US + REDIAL_US - 1_200_000_000
    assert link(feed).heard_us == NOW_US - 1_200_000_000
