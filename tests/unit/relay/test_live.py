"""Who is live, by channels."""

from __future__ import annotations

from edgerelay.relay.channel import FIREHOSE, Channel
from edgerelay.relay.filters import Filter, Token
from edgerelay.relay.live import Live
from edgerelay.relay.pace import BlindPace

ANNA = Channel(filter=Filter(dids=frozenset({"did:plc:anna"})))
PACE = BlindPace(1)


def nothing() -> list[Token]:
    raise AssertionError("nobody asked for anything that has a token")


def test_readers_of_a_channel_are_together() -> None:
    live = Live()
    for reader, channel in ("a", FIREHOSE), ("b", ANNA), ("c", FIREHOSE):
        live.add(reader, channel, PACE)
    assert list(live.concerned(lambda: ["did:plc:anna"])) == [FIREHOSE, ANNA]
    assert list(live.concerned(lambda: ["did:plc:bob"])) == [FIREHOSE]
    assert (list(live.readers(FIREHOSE)), list(live.readers(ANNA))) == (["a", "c"], ["b"])


def test_a_channel_without_readers_is_forgotten() -> None:
    live = Live()
    live.add("a", ANNA, PACE)
    live.add("b", ANNA, PACE)
    assert live.remove("a", ANNA) is PACE
    assert list(live.concerned(lambda: ["did:plc:anna"])) == [ANNA]
    assert live.remove("b", ANNA) is PACE
    assert list(live.concerned(nothing)) == []


def test_who_is_not_live_is_not_removed() -> None:
    live = Live()
    live.add("a", FIREHOSE, PACE)
    assert (live.remove("b", FIREHOSE), live.remove("a", ANNA), live.remove("a", None)) == (None, None, None)
    assert list(live.readers(FIREHOSE)) == ["a"]


def test_all_of_them_may_fall_behind() -> None:
    live = Live()
    live.add("a", FIREHOSE, PACE)
    live.add("b", ANNA, PACE)
    assert live.clear() == [("a", PACE), ("b", PACE)]
    assert list(live.concerned(nothing)) == []
    live.add("b", ANNA, PACE)
    assert list(live.concerned(lambda: ["did:plc:anna"])) == [ANNA]


def test_those_of_a_channel_may_leave_while_they_are_gone_through() -> None:
    live = Live()
    for reader in "abc":
        live.add(reader, FIREHOSE, PACE)
    for reader in live.readers(FIREHOSE):
        live.remove(reader, FIREHOSE)
    assert list(live.concerned(nothing)) == []
