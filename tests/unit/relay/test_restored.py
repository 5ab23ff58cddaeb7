"""What a relay knows when it starts."""

from __future__ import annotations

from edgerelay.relay.position import PositionRow
from edgerelay.relay.restored import Restored

OWN, OTHER = PositionRow(1, 3, 77, ((80, 81),), 5, 0), PositionRow(2, 0, 99, (), 0, 0)


def test_the_position_is_that_of_the_host() -> None:
    restored = Restored(1, (OTHER, OWN))
    assert (restored.position().row(), restored.other_positions()) == (OWN, (OTHER,))


def test_a_host_that_was_never_read_is_at_its_beginning() -> None:
    restored = Restored(1, (OTHER,))
    assert restored.position().untouched
    assert restored.position().row() == PositionRow(1, 0, 0, (), 0, 0)
