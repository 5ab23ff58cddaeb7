"""What the tests of the simulated network share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgerelay_dev.network.clock import SteppingClock
from edgerelay_dev.network.host import Host
from edgerelay_dev.network.log import EventLog
from edgerelay_dev.network.plc import Directory
from edgerelay_dev.network.subscription import StreamRules

START_US = 1_795_000_000_000_000


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock(START_US)


@pytest.fixture
def directory() -> Directory:
    return Directory()


@pytest.fixture
def new_host(clock: SteppingClock, directory: Directory) -> Callable[[int], Host]:
    """Makes hosts that share the directory and the clock, and that nobody serves."""

    def make(index: int) -> Host:
        host = Host(index, "test", directory, clock, EventLog(), StreamRules())
        host.url = f"http://localhost:{2583 + index}"
        return host

    return make


@pytest.fixture
def host(new_host: Callable[[int], Host]) -> Host:
    return new_host(0)
