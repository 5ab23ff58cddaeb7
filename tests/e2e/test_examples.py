"""The examples do what they say: each prints every event once, live or from a time, whatever happens in between.

All that read one kind of stream read the same relay at the same time: history that is in the archive only, on across a
crash of its process, and through a silence that some take for a dead connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.background import NetworkThread
from tests.e2e.example_programs import EXAMPLES, HAS_GO, Program, Programs, examples, go
from tests.e2e.relays import FORGETFUL, Relay, upstream_settings
from tests.e2e.subscriber import Seen, Subscriber, check_equal, wait_until

pytestmark = pytest.mark.timeout(600)
"""The first test of each stream installs and builds the examples, and runs them all."""

FIREHOSE = examples("firehose")
WATCHFUL = ("go/firehose", "javascript/firehose.mjs")
"""Those that take silence for a dead connection, because their libraries send no pings."""
SILENCE_LIMIT_S = 40.0
"""Their patience is 15 s."""
ARRIVE_LIMIT_S = 60.0
"""Clients pause before they connect again, some longer each time."""
EVENTS = 300
"""Events around the crash, and after the silence."""
RATE = 200
ARCHIVE_LIMIT_S = 120.0


class Rig:
    """A relay, the host that it reads, and a careful reader of the whole stream, which is the truth."""

    def __init__(self, stack: ExitStack, programs: Programs) -> None:
        self.background = stack.enter_context(NetworkThread(SimulatedNetwork(seed="examples", accounts=5)))
        self.programs = programs
        settings = {**upstream_settings(self.background), **FORGETFUL}
        self.relay = stack.enter_context(Relay(programs.folder / "state", settings))
        self.truth = stack.enter_context(Subscriber(self.relay.ws_url, 0))

    def start(self) -> None:
        """Let the host send events."""
        self.background.call(lambda network: network.start_traffic(RATE))

    def stop(self) -> None:
        """Send no more, and wait until the careful reader has everything."""
        self.background.wait_for(self.background.network.stop_traffic())
        self.truth.wait_for(self.background.call(lambda network: len(network.hosts[0].frames)), ARRIVE_LIMIT_S)

    def write_history(self) -> int:
        """Send events until the log has forgotten some; returns the time of one in the middle of those."""
        self.start()
        wait_until(lambda: self.relay.forgotten_up_to() > 0, ARCHIVE_LIMIT_S, "something is in the archive only")
        forgotten = self.relay.forgotten_up_to()
        self.stop()
        seqs = [seq for seq in self.truth.seqs if seq <= forgotten]
        return whole_ms(seqs[len(seqs) // 2])

    def wait_until_printing(self, programs: Iterable[Program]) -> None:
        """Send events until each program has printed one."""
        self.start()
        wait_until(lambda: all(program.lines for program in programs), ARRIVE_LIMIT_S, "every example prints")
        self.stop()

    def crash(self) -> None:
        """Kill the Worker while the host sends events."""
        self.start()
        self.truth.wait_for(len(self.truth.events) + EVENTS // 2, ARRIVE_LIMIT_S)
        self.relay.crash()
        self.truth.wait_for(len(self.truth.events) + EVENTS // 2, ARRIVE_LIMIT_S)
        self.stop()

    def be_silent(self, watchful: Sequence[Program]) -> None:
        """Let nothing happen until each of these has said that its connection may be dead; then a little."""
        said = [len(program.troubles()) for program in watchful]

        def are_suspicious() -> bool:
            return all(len(program.troubles()) > count for program, count in zip(watchful, said, strict=True))

        wait_until(are_suspicious, SILENCE_LIMIT_S, "those who mind silence have minded it")
        self.start()
        self.truth.wait_for(len(self.truth.events) + EVENTS, ARRIVE_LIMIT_S)
        self.stop()


class Run(NamedTuple):
    """What the examples printed.

    Attributes:
        events: all that the relay sent.
        since_us: the time from which on those read that did not begin live.
        live, late: the programs, by their names.
    """

    events: list[Seen]
    since_us: int
    live: dict[str, Program]
    late: dict[str, Program]

    def printed_live(self, example: str, lines: Callable[[Seen], list[str]]) -> None:
        """Check that it printed everything from the event on with which it began."""
        program = self.live[example]
        first = int(program.lines[0].split()[0])
        assert first > self.since_us
        expected = self._lines(lines)
        check_printed(program, [line for line in expected if int(line.split()[0]) >= first])

    def printed_late(self, example: str, lines: Callable[[Seen], list[str]]) -> None:
        """Check that it printed everything from a time on."""
        check_printed(self.late[example], self._lines(lines))

    def _lines(self, lines: Callable[[Seen], list[str]]) -> list[str]:
        return [line for event in self.events if event.seq >= self.since_us for line in lines(event)]


def check_printed(program: Program, lines: list[str]) -> None:
    program.wait_for(len(lines), ARRIVE_LIMIT_S)
    check_equal(program.lines, lines)


def run_all(stack: ExitStack, folder: Path, names: list[str]) -> Run:
    """Run the examples through everything that happens."""
    rig = Rig(stack, Programs(folder))
    url = rig.relay.ws_url
    since_us = rig.write_history()
    there = [name for name in names if HAS_GO or not is_go(name)]
    live, late = (
        {name: stack.enter_context(rig.programs.start(name, url, *since)) for name in there}
        for since in ([], [time_text(since_us)])
    )
    rig.wait_until_printing([*live.values(), *late.values()])
    rig.crash()
    rig.be_silent([programs[name] for programs in (live, late) for name in there if name in WATCHFUL])
    return Run(rig.truth.events, since_us, live, late)


@pytest.fixture(scope="module")
def firehose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with ExitStack() as stack:
        yield run_all(stack, tmp_path_factory.mktemp("firehose"), FIREHOSE)


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


def firehose_lines(event: Seen) -> list[str]:
    """What an example prints for an event."""
    operations = [f"{operation['action']} {operation['path']}" for operation in event.body.get("ops", ())]
    return [" ".join([str(event.seq), event.kind.removeprefix("#"), event.did, *operations])]


@parameters(FIREHOSE)
def test_a_firehose_example_prints_everything_from_when_it_came(firehose: Run, example: str) -> None:
    firehose.printed_live(example, firehose_lines)


@parameters(FIREHOSE)
def test_a_firehose_example_prints_everything_from_a_time_on(firehose: Run, example: str) -> None:
    firehose.printed_late(example, firehose_lines)


@pytest.mark.skipif(not HAS_GO, reason="the examples in Go need go")
def test_the_examples_in_go_are_formatted_and_sound() -> None:
    assert go("gofmt", "-l", ".") == ""
    go("go", "vet", "./...")


def test_every_example_is_in_the_table() -> None:
    table = (EXAMPLES / "README.md").read_text()
    assert not [name for name in examples("") if f"[{name}]({name})" not in table]
