"""The examples do what they say: each prints every event once, live or from a time, whatever happens in between.

All of them read the same relay at the same time, while its process is killed and while nothing happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.background import NetworkThread
from tests.e2e.example_programs import EXAMPLES, HAS_GO, Program, Programs, examples, go
from tests.e2e.relays import Relay, upstream_settings
from tests.e2e.subscriber import Seen, Subscriber, check_equal, wait_until

pytestmark = pytest.mark.timeout(600)
"""The first test installs and builds the examples, and runs them all."""

FIREHOSE = examples("firehose")
WATCHFUL = ("go/firehose", "javascript/firehose.mjs")
"""Those that take silence for a dead connection, because their libraries send no pings."""
SILENCE_LIMIT_S = 40.0
"""Their patience is 15 s."""
ARRIVE_LIMIT_S = 60.0
"""Clients pause before they connect again, some longer each time."""
EVENTS = 300
"""Events before the examples start, around the crash, and after the silence, each."""
RATE = 200


class Rig:
    """A relay, the host that it reads, and a careful reader of the whole stream, which is the truth."""

    def __init__(self, stack: ExitStack, programs: Programs) -> None:
        self.background = stack.enter_context(NetworkThread(SimulatedNetwork(seed="examples", accounts=5)))
        self.programs = programs
        self.relay = stack.enter_context(Relay(programs.folder / "state", upstream_settings(self.background)))
        self.truth = stack.enter_context(Subscriber(self.relay.ws_url, 0))

    def emit(self, count: int) -> None:
        """Let the host send so many events at once."""
        self.background.call(lambda network: network.traffic.run(count))

    def emit_across_a_crash(self) -> None:
        """Kill the Worker while the host sends events."""
        self.background.call(lambda network: network.start_traffic(RATE))
        self.truth.wait_for(len(self.truth.events) + EVENTS // 2, ARRIVE_LIMIT_S)
        self.relay.crash()
        self.truth.wait_for(len(self.truth.events) + EVENTS // 2, ARRIVE_LIMIT_S)
        self.background.wait_for(self.background.network.stop_traffic())

    def settle(self) -> None:
        """Wait until the careful reader has everything."""
        self.truth.wait_for(self.background.call(lambda network: len(network.hosts[0].frames)), ARRIVE_LIMIT_S)

    def wait_until_printing(self, programs: list[Program]) -> None:
        """Let the host send events until each program has printed one."""

        def are_printing() -> bool:
            self.emit(1)
            return all(program.lines for program in programs)

        wait_until(are_printing, ARRIVE_LIMIT_S, "every example prints")

    def wait_until_suspicious(self, programs: list[Program]) -> None:
        """Let nothing happen until each program has said that its connection may be dead."""
        said = [len(program.troubles()) for program in programs]

        def are_suspicious() -> bool:
            return all(len(program.troubles()) > count for program, count in zip(programs, said, strict=True))

        wait_until(are_suspicious, SILENCE_LIMIT_S, "those who mind silence have minded it")


class Run(NamedTuple):
    """What the examples printed."""

    events: list[Seen]
    live: dict[str, Program]
    late: dict[str, Program]
    since_us: int
    """The time from which on those of `late` read."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with ExitStack() as stack:
        rig = Rig(stack, Programs(tmp_path_factory.mktemp("examples")))
        rig.emit(EVENTS)
        rig.settle()
        since_us = whole_ms(rig.truth.seqs[EVENTS // 2])
        names = [name for name in FIREHOSE if HAS_GO or not is_go(name)]
        live, late = (
            {name: stack.enter_context(rig.programs.start(name, rig.relay.ws_url, *since)) for name in names}
            for since in ([], [time_text(since_us)])
        )
        rig.wait_until_printing([*live.values(), *late.values()])
        rig.emit_across_a_crash()
        rig.settle()
        rig.wait_until_suspicious([programs[name] for programs in (live, late) for name in names if name in WATCHFUL])
        rig.emit(EVENTS)
        rig.settle()
        yield Run(rig.truth.events, live, late, since_us)


def whole_ms(seq: int) -> int:
    """The last moment up to a number that the clocks of all languages can tell, in microseconds."""
    return seq // 1_000 * 1_000


def time_text(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_go(example: str) -> bool:
    return example.startswith("go/")


def parameters(names: list[str]) -> pytest.MarkDecorator:
    """A test of each of the examples; those in Go are skipped where there is no Go."""
    skip = pytest.mark.skipif(not HAS_GO, reason="the examples in Go need go")
    return pytest.mark.parametrize("example", [pytest.param(x, marks=[skip] if is_go(x) else []) for x in names])


def firehose_line(event: Seen) -> str:
    """What an example prints for an event."""
    operations = [f"{operation['action']} {operation['path']}" for operation in event.body.get("ops", ())]
    return " ".join([str(event.seq), event.kind.removeprefix("#"), event.did, *operations])


def check_printed(program: Program, lines: list[str]) -> None:
    program.wait_for(len(lines), ARRIVE_LIMIT_S)
    check_equal(program.lines, lines)


@parameters(FIREHOSE)
def test_a_firehose_example_prints_everything_from_when_it_came(run: Run, example: str) -> None:
    first = int(run.live[example].lines[0].split()[0])
    assert first > run.events[EVENTS - 1].seq
    check_printed(run.live[example], [firehose_line(event) for event in run.events if event.seq >= first])


@parameters(FIREHOSE)
def test_a_firehose_example_prints_everything_from_a_time_on(run: Run, example: str) -> None:
    check_printed(run.late[example], [firehose_line(event) for event in run.events if event.seq >= run.since_us])


@pytest.mark.skipif(not HAS_GO, reason="the examples in Go need go")
def test_the_examples_in_go_are_formatted_and_sound() -> None:
    assert go("gofmt", "-l", ".") == ""
    go("go", "vet", "./...")


def test_every_example_is_in_the_table() -> None:
    table = (EXAMPLES / "README.md").read_text()
    assert not [name for name in examples("") if f"[{name}]({name})" not in table]
