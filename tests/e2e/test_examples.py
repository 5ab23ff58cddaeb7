"""The examples do what they say: each prints every event once, live or from a time, whatever happens in between.

All that read one kind of stream read the same relay at the same time: history that is in the archive only, on across a
crash of its process, and through a silence that some take for a dead connection.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.background import NetworkThread
from tests.e2e.example_programs import ATPROTO_JETSTREAM, HAS_GO, ROOT, Program, Programs, examples, go
from tests.e2e.relays import FORGETFUL, Relay, upstream_settings
from tests.e2e.subscriber import Seen, Subscriber, check_equal, wait_until

pytestmark = pytest.mark.timeout(600)
"""The first test of each stream installs and builds the examples, and runs them all."""

FIREHOSE, JETSTREAM = examples("firehose"), [*examples("jetstream"), ATPROTO_JETSTREAM]
WATCHFUL = [x for x in (*FIREHOSE, *JETSTREAM) if re.search(r"/go/|/javascript/\w+\.mjs", x)]
"""Those that take silence for a dead connection, because their libraries send no pings."""
COMPRESSED = [x for x in JETSTREAM if re.search(r"/jetstream(\.\w+)?$", x)]
"""Those that are told the dictionary."""
DICTIONARY = str(ROOT / "src" / "worker" / "edgerelay" / "cloudflare" / "jetstream_v1.zdict")
SILENCE_LIMIT_S = 40.0
"""Their patience is 15 s."""
ARRIVE_LIMIT_S = 60.0
"""Clients pause before they connect again, some longer each time."""
EVENTS = 300
"""Events around the crash, and after the silence."""
RATE, SLOW_RATE = 100, 10
"""Events a second, and while programs start, which takes some time."""
ARCHIVE_LIMIT_S = 120.0


class Rig:
    """A relay, the host that it reads, and a careful reader of the whole stream, which is the truth."""

    def __init__(self, stack: ExitStack, programs: Programs) -> None:
        self.background = stack.enter_context(NetworkThread(SimulatedNetwork(seed="examples", accounts=5)))
        self.programs = programs
        settings = {**upstream_settings(self.background), **FORGETFUL}
        self.relay = stack.enter_context(Relay(programs.folder / "state", settings))
        self.truth = stack.enter_context(Subscriber(self.relay.ws_url, 0))

    def start(self, rate: int = RATE) -> None:
        """Let the host send events."""
        self.background.call(lambda network: network.start_traffic(rate))

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
        self.start(SLOW_RATE)
        for program in programs:
            program.wait_for(1, ARRIVE_LIMIT_S)
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
        filters: what those were told that did not read everything.
        live, late, choosy: the programs, by their names.
    """

    events: list[Seen]
    since_us: int
    filters: list[str]
    live: dict[str, Program]
    late: dict[str, Program]
    choosy: dict[str, Program]

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

    def printed_what_it_wanted(self, example: str, lines: Callable[[Seen], list[str]]) -> None:
        """Check that it printed from a time on what passes its filters."""
        check_printed(self.choosy[example], [line for line in self._lines(lines) if passes(line, self.filters)])

    def _lines(self, lines: Callable[[Seen], list[str]]) -> list[str]:
        return [line for event in self.events if event.seq >= self.since_us for line in lines(event)]


def check_printed(program: Program, lines: list[str]) -> None:
    program.wait_for(len(lines), ARRIVE_LIMIT_S)
    check_equal(program.lines, lines)


def run_all(stack: ExitStack, folder: Path, names: list[str], *, with_filters: bool) -> Run:
    """Run the examples through everything that happens."""
    rig = Rig(stack, Programs(folder))
    url = rig.relay.ws_url
    since_us = rig.write_history()
    filters = ["app.bsky.feed.post", "app.bsky.graph.*", rig.truth.events[-1].did] if with_filters else []
    there = [name for name in names if not missing(name)]

    def start(*arguments: str) -> dict[str, Program]:
        dictionary = {name: [DICTIONARY] if name in COMPRESSED else [] for name in there}
        return {
            name: stack.enter_context(rig.programs.start(name, url, *dictionary[name], *arguments)) for name in there
        }

    live, late = start(), start(time_text(since_us))
    choosy = start(time_text(since_us), *filters) if with_filters else {}
    rig.wait_until_printing([*live.values(), *late.values(), *choosy.values()])
    rig.crash()
    rig.be_silent([programs[name] for programs in (live, late) for name in there if name in WATCHFUL])
    return Run(rig.truth.events, since_us, filters, live, late, choosy)


@pytest.fixture(scope="module")
def firehose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with ExitStack() as stack:
        yield run_all(stack, tmp_path_factory.mktemp("firehose"), FIREHOSE, with_filters=False)


@pytest.fixture(scope="module")
def jetstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with ExitStack() as stack:
        yield run_all(stack, tmp_path_factory.mktemp("jetstream"), JETSTREAM, with_filters=True)


def whole_ms(seq: int) -> int:
    """The last moment up to a number that the clocks of all languages can tell, in microseconds."""
    return seq // 1_000 * 1_000


def time_text(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def missing(example: str) -> str:
    """What an example needs that is not here; empty if it can be run."""
    if example.startswith("examples/go/") and not HAS_GO:
        return "examples in Go need go"
    if example == ATPROTO_JETSTREAM and sys.version_info < (3, 14):
        return "atproto_jetstream needs Python 3.14"
    return ""


def parameters(names: list[str]) -> pytest.MarkDecorator:
    """A test of each of the examples; those that cannot be run here are skipped."""
    marked = [pytest.param(name, marks=pytest.mark.skipif(bool(missing(name)), reason=missing(name))) for name in names]
    return pytest.mark.parametrize("example", marked)


def firehose_lines(event: Seen) -> list[str]:
    """What an example prints for an event."""
    operations = [f"{operation['action']} {operation['path']}" for operation in event.body.get("ops", ())]
    return [" ".join([str(event.seq), event.kind.removeprefix("#"), event.did, *operations])]


def jetstream_lines(event: Seen) -> list[str]:
    """The same for Jetstream: one line for each operation, and `#sync` in v2 only."""
    operations = [f"{operation['action']} {operation['path']}" for operation in event.body.get("ops", ())]
    if event.kind == "#commit":
        return [f"{event.seq + index} commit {event.did} {text}" for index, text in enumerate(operations)]
    return firehose_lines(event)


def lines_of(example: str) -> Callable[[Seen], list[str]]:
    """What an example of Jetstream is given, or lets through."""
    if "jetstream_atproto" in example:
        return jetstream_lines
    if "atcute" in example:  # whose schema wants a handle, which hosts may leave out
        return lambda event: [] if event.kind == "#identity" and "handle" not in event.body else v1_lines(event)
    return v1_lines


def v1_lines(event: Seen) -> list[str]:
    return [] if event.kind == "#sync" else jetstream_lines(event)


def passes(line: str, filters: list[str]) -> bool:
    """Whether a line is wanted: collections are for commits, DIDs for everything."""
    _, kind, did, *operation = line.split()
    exact, prefix, wanted_did = filters
    if did != wanted_did:
        return False
    return kind != "commit" or operation[1].startswith((f"{exact}/", prefix.removesuffix("*")))


@parameters(FIREHOSE)
def test_a_firehose_example_prints_everything_from_when_it_came(firehose: Run, example: str) -> None:
    firehose.printed_live(example, firehose_lines)


@parameters(FIREHOSE)
def test_a_firehose_example_prints_everything_from_a_time_on(firehose: Run, example: str) -> None:
    firehose.printed_late(example, firehose_lines)


@parameters(JETSTREAM)
def test_a_jetstream_example_prints_everything_from_when_it_came(jetstream: Run, example: str) -> None:
    jetstream.printed_live(example, lines_of(example))


@parameters(JETSTREAM)
def test_a_jetstream_example_prints_everything_from_a_time_on(jetstream: Run, example: str) -> None:
    jetstream.printed_late(example, lines_of(example))


@parameters(JETSTREAM)
def test_a_jetstream_example_prints_what_passes_its_filters(jetstream: Run, example: str) -> None:
    jetstream.printed_what_it_wanted(example, lines_of(example))


@pytest.mark.skipif(not HAS_GO, reason="examples in Go need go")
def test_the_examples_in_go_are_formatted_and_sound() -> None:
    assert go("gofmt", "-l", ".") == ""
    go("go", "vet", "./...")


def test_every_example_is_in_the_table() -> None:
    table = (ROOT / "examples" / "README.md").read_text()
    names = [name.removeprefix("examples/") for name in examples("")]
    assert not [name for name in names if f"[{name}]({name})" not in table]
