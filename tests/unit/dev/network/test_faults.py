from __future__ import annotations

import asyncio

import pytest

from edgerelay_dev.network.faults import SWITCHES, Faults


def test_everything_is_off_at_first() -> None:
    faults = Faults()
    assert not any(getattr(faults, name) for name in SWITCHES)


def test_unknown_switch_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no such fault: stal"):
        Faults().set(stal=True)
    with pytest.raises(ValueError, match="no such fault: sockets"):
        Faults().set(sockets=set())


def test_clear_turns_everything_off() -> None:
    faults = Faults()
    faults.set(stall=True, upgrade_status=503, date_skew_s=900)
    faults.clear()
    assert faults == Faults(_changed=faults._changed)


async def test_change_is_noticed() -> None:
    faults = Faults()
    waiting = asyncio.ensure_future(faults.change())
    await asyncio.sleep(0)
    faults.set(stall=True)
    await asyncio.wait_for(waiting, 5)
