"""What a shard asks for."""

from __future__ import annotations

from edgerelay.relay.shard_commands import CloseReader, SendControl, future, outdated, refuse, refuse_future


def test_a_refusal_is_told_and_then_the_socket_is_closed() -> None:
    assert refuse("a", "ConsumerTooSlow", "no progress") == [
        SendControl("a", "ConsumerTooSlow", "no progress", is_error=True),
        CloseReader("a", "ConsumerTooSlow"),
    ]
    assert refuse_future("a")[1] == CloseReader("a", "FutureCursor")


def test_what_is_outdated_or_live_is_no_error() -> None:
    told = outdated("a")
    assert (told.reader, told.name, told.is_error) == ("a", "OutdatedCursor", False)
    told = future("a")
    assert (told.reader, told.name, told.is_error) == ("a", "FutureCursor", False)
