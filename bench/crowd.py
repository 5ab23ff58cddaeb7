"""A thousand clients of all kinds at once for some minutes, whatever ends meanwhile: each gets exactly what is its own.

Live ones, some of the whole stream and most with a filter; some who begin in the past and become live; some who read
slowly or not at all. Blows end the Worker's process or single objects at random moments. README.md says what is
printed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import combinations, cycle, islice
from random import Random
from typing import NamedTuple

from bare_process import Sends
from blows import Blows
from clients import SLOW_BYTES, SLOW_S, Client, Clients, Pace
from expectation import Event, Got, Want, Witness, check_got, event_of, since
from heap import measure_use
from recordings import network_of, production_recording
from relay_runs import LIMIT_S, cpu_s, relay_on, resident_bytes, state_of
from table import row, spread, target

from edgerelay_dev.network import NetworkProcess
from edgerelay_dev.network.recording import read_recording
from edgerelay_dev.offline.workerd import RelayProcess

__all__ = [
    "LIVE",
    "Crowd",
    "Wants",
    "check_exactness",
    "everybody_wants",
    "latencies_ms",
    "measure_crowd",
    "narrow_wants",
    "report_exactness",
]

WHOLE = 20
FILTERED = 480
REPLAYING = 300
SLOW = 50
STALLED = 150
LIVE = WHOLE + FILTERED
LARGEST_SHARE = 0.02
"""Of the stream, for each of those who are live and have a filter."""

HISTORY = 8_000
"""Events before the crowd comes: 40 MB, of which the log keeps less than half."""

PAST_SHARE = 0.75
"""Of the history, for those of whom half begin at its beginning and half anywhere in it."""

SHARE_OF_BARE = 0.5
"""What all deliveries together are of bare sends."""

SAMPLE = 20_000
RECORDED_STEP = 80_000
"""Recordings have multiples of so many events, so that another run finds one."""

SETTINGS = {"LOG_STOP_BYTES": "16000000", "LOG_MIN_MINUTES": "0", "CHECKPOINT_S": "10", "STUCK_S": "20"}
"""Part of the past is in the archive only, and who does not read is ended within a short run, too."""

STUCK_LIMIT_S = 120.0
CATCH_UP_LIMIT_S = 180.0
BETWEEN_S = 0.02
"""Of reading, while it takes seconds to see what is due: nobody may seem to stand still."""

CALM_S = 2.0
"""For what the host has sent to arrive."""

SETTLE_S = 15.0
"""Without an event, before it is said that nothing more comes, and until memory is looked at."""

MEMORY_MARGIN_MB = 30.0
"""A second shard has a ring of its own (`RING_BYTES`), and both keep pieces of the log and blocks of the archive."""

LAST_US = 1 << 63
RARE = ("app.bsky.feed.post", "app.bsky.feed.repost", "app.bsky.graph.follow")


class Member(NamedTuple):
    """One of the crowd."""

    client: Client
    want: Want
    first_seq: int
    """What it has to get from."""


class Wants(NamedTuple):
    """The filters of those who have one."""

    live: list[Want]
    replaying: list[Want]

    def deliveries(self, events: Sequence[Event]) -> tuple[float, float]:
        """Of one event, to those who begin live and read at full pace, and to those who begin in the past."""
        live, replaying = (
            [sum(map(want.passes, events)) / len(events) for want in wants] for wants in (self.live, self.replaying)
        )
        if max(live) > LARGEST_SHARE:
            raise AssertionError(f"a filter lets {max(live):.1%} of the events pass")
        return WHOLE + sum(live), sum(replaying)


def narrow_wants(events: Sequence[Event], count: int) -> list[Want]:
    """What two accounts do in one collection: a filter of its own for each, as far as there are so many."""
    dids = sorted({event.did for event in events})
    pairs = [Want(frozenset(pair), frozenset([name])) for name in RARE for pair in combinations(dids, 2)]
    return list(islice(cycle(pairs), count))


def everybody_wants(events: Sequence[Event]) -> Wants:
    """Those who are live want little; of the others each wants six accounts, or one collection."""
    dids = sorted({event.did for event in events})
    some = [Want(dids=frozenset(six)) for six in islice(combinations(dids, 6), REPLAYING)]
    one = [Want(collections=frozenset([name])) for name in RARE]
    return Wants(narrow_wants(events, FILTERED), [*one, *some][:REPLAYING])


def measure_crowd(bare: Sends, minutes: float, kills: int) -> None:
    """Run it; `bare` is what half of is aimed at. Fails unless everybody got what is due."""
    sample = list(read_recording(production_recording(SAMPLE)))
    events = list(map(event_of, sample))
    wants, seconds = everybody_wants(events), minutes * 60
    (live, replaying), mean_bytes = wants.deliveries(events), sum(map(len, sample)) / len(sample)
    past = replaying * HISTORY * PAST_SHARE / seconds
    slow = SLOW * SLOW_BYTES / SLOW_S / mean_bytes
    rate = (bare.per_s * SHARE_OF_BARE - past - slow) / (live + replaying)
    row("bare sends to 1,000", f"{bare.per_s:,.0f} sends/s", f"half of it: {rate:.0f} events/s")
    row("of each event", f"{live:.1f} live, {replaying:.1f} to those who catch up")
    recording = production_recording(-(-int(HISTORY + rate * seconds) // RECORDED_STEP) * RECORDED_STEP)
    settings = {**SETTINGS, **({"REHEARSAL": "on"} if kills else {})}
    with network_of(recording, "--replay-restamp") as network:
        network.post("/hosts/0/faults", stall=True)
        with relay_on(network, 0, "trusted", **settings) as relay:
            with Clients() as clients:
                crowd = Crowd(network, relay, clients, wants)
                crowd.read_history(HISTORY)
                before = memory_of(relay)
                crowd.come()
                crowd.come_and_stall()
                crowd.live_for(seconds, rate * mean_bytes, kills, bare)
                crowd.catch_up()
                if not kills:
                    report_endings(crowd)
                crowd.witness.check(read_recording(recording))
                report_exactness(crowd)
            if not kills:  # an inspector does not outlive the process that it looked into
                time.sleep(SETTLE_S)
                report_memory(before, memory_of(relay))


class Crowd:
    """All clients, and what they read."""

    def __init__(
        self, network: NetworkProcess, relay: RelayProcess, clients: Clients, wants: Wants, whole: int = WHOLE
    ) -> None:
        """`whole` read the whole stream; the first of them, the witness, comes at once."""
        self._network = network
        self.relay = relay
        self.clients = clients
        self._wants = wants
        self._whole = whole
        self._url = relay.worker_url
        self._chance = Random("crowd")
        self.witness = Witness()
        self.past = 0
        """Events before the others came."""

        one = clients.add(Client(self._url, listener=self.witness))
        self.live = [Member(one, Want(), 0)]
        self.replaying: list[Member] = []
        self.slow: list[Member] = []
        self.stalled: list[Member] = []

    @property
    def reading(self) -> list[Member]:
        """Those who have to get everything."""
        return self.live + self.replaying

    def read_history(self, count: int) -> None:
        """Let the witness see so many events before the others come."""
        self._wait_for_clients(1)
        self._network.post("/hosts/0/faults", stall=False)
        enough = lambda: len(self.witness.events) >= count  # noqa: E731
        self.clients.read_until(enough, LIMIT_S, f"{count} events")
        self.hush()
        self.past = len(self.witness.events)

    def come(self) -> None:
        """All come who begin at the live edge and read, while there is nothing new."""
        wants = [Want()] * (self._whole - 1) + self._wants.live
        self.live += [self._join(want, Pace.FULL) for want in wants]
        self._wait_for_clients(len(self.live))

    def come_and_stall(self) -> None:
        """So do those who hardly read."""
        self.slow = [self._join(Want(), Pace.SLOW) for _ in range(SLOW)]
        self.stalled = [self._join(Want(), Pace.NEVER) for _ in range(STALLED)]
        self._wait_for_clients(len(self.live) + SLOW + STALLED)

    def _join(self, want: Want, pace: Pace) -> Member:
        first_seq = self.witness.last_seq + 1
        client = Client(self._url, want.query, resume=first_seq, pace=pace)
        return Member(self.clients.add(client), want, first_seq)

    def come_late(self, seconds: float) -> None:
        """One after the other for so long: half of them at the beginning, half anywhere in the past."""
        past = self.witness.events
        for index, want in enumerate(self._wants.replaying):
            cursor = self._chance.choice(past).seq if index % 2 else 0
            client = self.clients.add(Client(self._url, want.query, cursor=cursor), index * seconds / REPLAYING)
            self.replaying.append(Member(client, want, cursor))

    def flow(self, bytes_per_s: float) -> None:
        """Let the host send so fast."""
        self._network.post("/hosts/0/faults", stall=False, bytes_per_s=bytes_per_s)

    def live_for(self, seconds: float, bytes_per_s: float, kills: int, bare: Sends) -> None:
        """Let the stream flow so fast, and deal blows; then wait for its end."""
        started, before, used_s = time.monotonic(), self._deliveries(), cpu_s(self.relay.worker_pid)
        self.come_late(seconds / 2)
        self.flow(bytes_per_s)
        with Blows(self.relay, kills, seconds, self._chance) as blows:
            seen = 0
            while time.monotonic() - started < seconds or blows.is_dealing:
                self.clients.read_for(1.0)
                for what in blows.dealt[seen:]:
                    if what == "process":
                        self._come_again()
                seen = len(blows.dealt)
        passed_s, deliveries = time.monotonic() - started, self._deliveries() - before
        used_s = cpu_s(self.relay.worker_pid) - used_s
        events = len(self.witness.events) - self.past
        self.hush()
        row("events, for so long", f"{events / passed_s:,.0f} events/s", f"{passed_s:.0f} s")
        row("deliveries", f"{deliveries / passed_s:,.0f}/s", f"{deliveries / passed_s / bare.per_s:.0%} of bare")
        if kills:
            row("ended meanwhile", f"{len(blows.dealt)} times", ", ".join(blows.dealt))
        else:
            row("CPU of the process", f"{used_s / passed_s:.0%} of a core")

    def _come_again(self) -> None:
        """Those who do not read do not see that they were cut."""
        for client, _, _ in self.stalled:
            self.clients.renew(client)

    def _deliveries(self) -> int:
        return sum(map(len, self.clients.everyone))

    def hush(self) -> None:
        """Stop the host, and read until the witness has the newest number."""
        self._network.post("/hosts/0/faults", stall=True)
        self.clients.read_for(CALM_S)
        self.clients.read_until(self._is_calm, CATCH_UP_LIMIT_S, "the witness has everything")

    def catch_up(self) -> None:
        """Read until everybody has as many events as are due, or long enough; then whether anything else comes."""
        due: dict[Want, list[Got]] = {}
        for _, want, _ in self.reading:
            if want not in due:
                due[want] = self.witness.due(want)
                self.clients.read_for(BETWEEN_S)
        counts = [(member.client, len(since(due[member.want], member.first_seq))) for member in self.reading]
        has_all = lambda: all(len(client) >= count for client, count in counts)  # noqa: E731
        with suppress(TimeoutError):  # what lacks is said when it is compared
            self.clients.read_until(has_all, CATCH_UP_LIMIT_S, "everybody has everything")
        self.clients.read_for(SETTLE_S)

    def _is_calm(self) -> bool:
        try:
            state = state_of(self.relay)
        except OSError:
            return False
        is_idle: bool = state["upstream"]["in_flight"] == 0 and state["hot_log"]["last_seq"] == self.witness.last_seq
        return is_idle

    def _wait_for_clients(self, count: int) -> None:
        all_in = lambda: sum(each["clients"] for each in state_of(self.relay)["shards"]) == count  # noqa: E731
        self.clients.read_until(all_in, LIMIT_S, f"{count} clients")


def latencies_ms(crowd: Crowd, begin_us: int = 0, end_us: int = LAST_US) -> list[float]:
    """From the host's writing to a live client, of what came at such a time."""
    times_us = {event.seq: event.time_us for event in crowd.witness.events[crowd.past :]}
    return [
        (arrived_us - times_us[got.seq]) / 1_000
        for client, _, _ in crowd.live
        for got, arrived_us in zip(client.got, client.arrived_us, strict=True)
        if got.seq in times_us and begin_us <= arrived_us <= end_us
    ]


def check_exactness(crowd: Crowd) -> None:
    """Fail unless everybody got exactly what is due, and was told nothing else."""
    due = {want: crowd.witness.due(want) for _, want, _ in crowd.reading}
    for client, want, first_seq in crowd.reading:
        if client.told:
            raise AssertionError(f"told {client.told[:3]}")
        check_got(client.got, due[want], first_seq, is_whole=True)
    for client, want, first_seq in crowd.slow:
        check_got(client.got, due[want], first_seq, is_whole=False)


def report_exactness(crowd: Crowd) -> None:
    """Compare, and print how much that was, and the latency of those who are live."""
    check_exactness(crowd)
    low, high = spread(latencies_ms(crowd))
    row(f"latency, {len(crowd.live)} live", f"p50 {low:,.0f} ms, p99 {high:,.0f} ms")
    for what, members in ("live", crowd.live), ("replaying, then live", crowd.replaying), ("slow", crowd.slow):
        if not members:
            continue
        counts = sorted(len(client) for client, _, _ in members)
        again = sum(client.connections - 1 for client, _, _ in members)
        row(
            f"{what}: exact", f"{len(members)} clients", f"{counts[0]:,} to {counts[-1]:,} events", f"{again} came back"
        )


def report_endings(crowd: Crowd) -> None:
    """Those who never read, and nobody else, were ended by name, and had got what is due until then."""
    ended = lambda: int(state_of(crowd.relay)["endings"].get("too_slow", 0))  # noqa: E731
    crowd.clients.read_until(lambda: ended() >= STALLED, STUCK_LIMIT_S, "those who never read were ended")
    endings, reading = ended(), crowd.reading + crowd.slow
    closed = sum(len(client.closings) for client, _, _ in reading)
    if closed or endings > STALLED:
        raise AssertionError(f"{closed} who read were closed; {endings} were ended as too_slow")
    due = crowd.witness.due(Want())
    for client, _, first_seq in crowd.stalled:
        crowd.clients.read_to_end(client, LIMIT_S)
        if client.closings != ["ConsumerTooSlow"]:
            raise AssertionError(f"one who does not read was closed with {client.closings}")
        check_got(client.got, due, first_seq, is_whole=False)
    row("not reading: ended as too_slow", f"{len(crowd.stalled)} clients")


class Memory(NamedTuple):
    """Bytes in use."""

    outside: int
    """By JavaScript and its buffers."""

    resident: int
    """By all of workerd, Python included."""


def memory_of(relay: RelayProcess) -> Memory:
    """What the relay uses."""
    return Memory(measure_use(relay.inspector_port), resident_bytes(relay.worker_pid))


def report_memory(before: Memory, after: Memory) -> None:
    """What is left in memory when everybody is gone."""
    grown_mb = (after.outside - before.outside) / 1e6
    goal = target(grown_mb <= MEMORY_MARGIN_MB, f"<= {MEMORY_MARGIN_MB:.0f} MB more")
    row("memory outside of Python", f"{before.outside / 1e6:.1f}, then {after.outside / 1e6:.1f} MB", goal)
    row("resident, all of workerd", f"{before.resident / 1e6:,.0f}, then {after.resident / 1e6:,.0f} MB")
