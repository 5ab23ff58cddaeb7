"""The ports without a platform: they promise no more than sockets keep."""

from __future__ import annotations

import inspect

import pytest

from edgerelay.archive.batch import Batch, BatchBuilder
from edgerelay.atproto.identity import Absence
from edgerelay.atproto.keys import Curve, PublicKey
from edgerelay.atproto.signatures import SignatureCheck
from edgerelay.errors import InvariantError
from edgerelay.relay.events import (
    Event,
    FramesReceived,
    ShardAcked,
    ShardClosed,
    ShardOpened,
    StatusTold,
    TextReceived,
    UpstreamClosed,
    UpstreamFailed,
    UpstreamOpened,
)
from edgerelay.relay.lookups import Inquiry
from edgerelay.relay.vetting import CheckSignatures, IdentitiesResolved, SignaturesChecked, VettingEvent
from edgerelay.runtime import fetcher, ports
from edgerelay.runtime.fetcher import MAX_BODY_BYTES, Fetched, FetchError
from edgerelay.runtime.memory import (
    ManualClock,
    ManualTimer,
    MemoryDirectory,
    MemoryFetcher,
    MemoryLog,
    MemoryShards,
    MemorySignatures,
    MemoryUpstream,
)
from tests.playbook import exact
from tests.virtual_time import run


def batch() -> Batch:
    builder = BatchBuilder(0)
    builder.add(1, "#sync", "d", (), b"")
    return builder.build([], b"")


@pytest.mark.parametrize(
    ("port", "implementation"),
    [
        (ports.UpstreamPort, MemoryUpstream),
        (ports.ShardPort, MemoryShards),
        (ports.Timer, ManualTimer),
        (ports.LogSink, MemoryLog),
        (ports.SignaturePort, MemorySignatures),
        (ports.IdentityPort, MemoryDirectory),
        (fetcher.Fetcher, MemoryFetcher),
    ],
)
def test_each_is_its_port(port: type, implementation: type) -> None:
    methods = {name: value for name, value in vars(port).items() if inspect.isfunction(value) and name[0] != "_"}
    assert methods
    for name, method in methods.items():
        assert inspect.signature(getattr(implementation, name)) == inspect.signature(method), name


class TestTime:
    def test_a_clock_stands_still_until_somebody_sets_it(self) -> None:
        clock = ManualClock(5)
        assert (clock(), clock()) == (5, 5)
        clock.now_us = 3
        assert clock() == 3

    def test_a_timer_goes_off_once_and_not_before_its_time(self) -> None:
        clock, fired = ManualClock(5), list[int]()
        timer = ManualTimer(clock, lambda: fired.append(clock()))
        assert not timer.go_off()
        timer.set(9)
        timer.set(7)
        assert (timer.go_off(), fired) == (False, [])
        clock.now_us = 7
        assert (timer.go_off(), timer.go_off(), fired) == (True, False, [7])


class TestUpstream:
    def test_a_connection_lives(self) -> None:
        events = list[Event]()
        upstream = MemoryUpstream(events.append)
        upstream.open(3, 77)
        assert (upstream.connection, upstream.cursor, upstream.is_open) == (3, 77, False)
        upstream.accept(9, "pds")
        upstream.send(b"a", b"b")
        upstream.send_text()
        upstream.drop("reset by peer")
        upstream.open(4, None)
        upstream.refuse("HTTP 429", 429, 5)
        upstream.open(5, None)
        assert exact(events) == exact(
            [
                UpstreamOpened(3, 9, "pds"),
                FramesReceived(3, [b"a", b"b"]),
                TextReceived(3),
                UpstreamClosed(3, "reset by peer"),
                UpstreamFailed(4, "HTTP 429", 429, 5),
            ]
        )

    def test_before_it_is_open_nothing_comes_in(self) -> None:
        events = list[Event]()
        upstream = MemoryUpstream(events.append)
        upstream.accept()
        upstream.refuse("nobody asked")
        upstream.open(1, None)
        upstream.send(b"a")
        upstream.send_text()
        upstream.drop("early")
        assert events == []

    def test_an_open_socket_is_not_answered_again(self) -> None:
        events = list[Event]()
        upstream = MemoryUpstream(events.append)
        upstream.open(1, None)
        upstream.accept()
        upstream.accept()
        upstream.refuse("late")
        assert exact(events) == exact([UpstreamOpened(1, None, "")])

    def test_after_it_is_closed_nothing_comes_in(self) -> None:
        events = list[Event]()
        upstream = MemoryUpstream(events.append)
        upstream.open(1, None)
        upstream.accept()
        upstream.close(7)
        assert upstream.is_open
        upstream.close(1)
        upstream.close(1)
        upstream.send(b"a")
        upstream.drop("late")
        assert (events, upstream.connection) == ([UpstreamOpened(1, None, "")], None)

    def test_two_at_once_are_ours_to_blame(self) -> None:
        upstream = MemoryUpstream(print)
        upstream.open(1, None)
        with pytest.raises(InvariantError, match="socket 2 is opened while 1 is there"):
            upstream.open(2, None)


class TestShards:
    def test_a_link_lives(self) -> None:
        events = list[Event]()
        shards, made = MemoryShards(events.append), batch()
        shards.dial("a", "weur")
        assert shards.dialed == {"a": "weur"}
        shards.accept("a")
        shards.send_head("a", 7)
        shards.send_batch("a", made)
        assert (shards.fed, shards.dialed) == ({"a": [7, made]}, {})
        shards.acknowledge("a", 7, 3)
        shards.drop("a")
        assert exact(events) == exact([ShardOpened("a"), ShardAcked("a", 7, 3), ShardClosed("a")])
        assert shards.fed == {}

    def test_a_shard_that_does_not_pick_up(self) -> None:
        events = list[Event]()
        shards = MemoryShards(events.append)
        shards.dial("a", "")
        shards.drop("a")
        shards.drop("a")
        shards.accept("a")
        assert exact(events) == exact([ShardClosed("a")])

    def test_what_is_sent_into_a_closed_link_is_lost_without_a_word(self) -> None:
        events = list[Event]()
        shards = MemoryShards(events.append)
        shards.dial("a", "")
        shards.send_batch("a", batch())
        shards.accept("a")
        shards.close("a")
        shards.close("a")
        shards.send_head("a", 1)
        shards.acknowledge("a", 1, 1)
        assert (exact(events), shards.fed) == (exact([ShardOpened("a")]), {})

    def test_closing_does_not_stop_a_call(self) -> None:
        events = list[Event]()
        shards = MemoryShards(events.append)
        shards.dial("a", "")
        shards.close("a")
        shards.accept("a")
        assert exact(events) == exact([ShardOpened("a")])


def test_a_log_remembers() -> None:
    log = MemoryLog()
    log.write("info", "one", {"n": 1})
    log.write("error", "two", {})
    log.write("info", "one", {"n": 2})
    assert log.lines[1] == ("error", "two", {})
    assert log.named("one") == [{"n": 1}, {"n": 2}]


class TestFetcher:
    def test_a_url_answers_what_it_was_told_to_and_as_late(self) -> None:
        web = MemoryFetcher()
        web.web, web.latency_s = {"https://a.com": Fetched(200, b"a", 7)}, {"https://a.com": 2.0}
        assert run(web.fetch("https://a.com")) == (Fetched(200, b"a", 7), 2.0)
        assert (web.asked, web.pending, web.most_pending) == (["https://a.com"], 0, 1)

    def test_a_body_is_cut_where_nobody_reads_on(self) -> None:
        web = MemoryFetcher()
        web.web = {"https://a.com": Fetched(200, bytes(MAX_BODY_BYTES + 1))}
        assert len(run(web.fetch("https://a.com"))[0].body) == MAX_BODY_BYTES
        assert len(run(web.fetch("https://a.com", max_bytes=7))[0].body) == 7

    def test_a_url_may_not_answer_and_others_never_do(self) -> None:
        web = MemoryFetcher()
        web.web = {"https://a.com": FetchError("timeout")}
        for url, problem in (("https://a.com", "timeout"), ("https://b.com", "network")):
            with pytest.raises(FetchError, match=problem):
                run(web.fetch(url))


class TestVerification:
    """What verification asks for: answered once, when the caller pleases."""

    def test_signatures_are_what_the_caller_says(self) -> None:
        events: list[VettingEvent] = []
        signatures = MemorySignatures(events.append)
        key = PublicKey(Curve.K256, bytes(33))
        checks = [SignatureCheck(key, b"a", b""), SignatureCheck(key, b"b", b"")]
        batch = CheckSignatures([], checks)
        signatures.check(batch)
        assert (signatures.batches, events) == ([batch], [])
        signatures.answer(lambda check: check.signed_bytes == b"b")
        signatures.answer(lambda check: True)
        assert (signatures.batches, events) == ([], [SignaturesChecked(batch, [False, True])])

    def test_identities_and_statuses_are_what_the_caller_says(self) -> None:
        events: list[Event | VettingEvent] = []
        directory = MemoryDirectory(events.append)
        inquiry = Inquiry(["did:web:a.test", "did:web:b.test"], patient=False, asked_us=0)
        directory.look_up(inquiry)
        directory.ask_status("did:web:a.test", "https://pds.test")
        assert (directory.inquiries, directory.statuses) == ([inquiry], [("did:web:a.test", "https://pds.test")])
        directory.answer(lambda did: Absence.NOT_FOUND if "a.test" in did else Absence.TOMBSTONED)
        directory.tell(active=True)
        assert events == [
            IdentitiesResolved(inquiry, [Absence.NOT_FOUND, Absence.TOMBSTONED]),
            StatusTold("did:web:a.test", True, None),
        ]
        assert (directory.inquiries, directory.statuses) == ([], [])
