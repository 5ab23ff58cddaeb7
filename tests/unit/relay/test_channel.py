"""Channels: equal ones are one."""

from __future__ import annotations

from edgerelay.relay.channel import FIREHOSE, Channel, Wire
from edgerelay.relay.filters import Filter


def test_channels_are_equal_by_what_they_say() -> None:
    one, same = (Channel(Wire.LINES, Filter(dids=frozenset(["did:plc:a", "did:plc:b"][::step]))) for step in (1, -1))
    assert len({one, same, FIREHOSE, Channel()}) == 2


def test_lines_and_events_may_be_packed() -> None:
    assert [wire for wire in Wire if wire.has_lines] == [Wire.LINES, Wire.ZSTD_LINES]
    assert [wire for wire in Wire if wire.has_events] == [Wire.EVENTS, Wire.ZSTD_EVENTS]
    assert [wire.inside for wire in Wire] == [Wire.FRAMES, Wire.LINES, Wire.LINES, Wire.EVENTS, Wire.EVENTS]


def test_the_names_of_wires_are_kept_with_sockets() -> None:
    assert [str(wire) for wire in Wire] == ["frames", "lines", "zstd", "events", "zstd_events"]
