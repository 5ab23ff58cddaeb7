"""The simulated network: a directory and any number of hosts, on loopback, in one event loop.

    async with SimulatedNetwork(seed=1, hosts=2, accounts=20) as network:
        network.traffic.run(100)
        network.hosts[0].faults.drop()

`background` runs one in a thread or a process of its own, for callers that have no event loop.
"""

from __future__ import annotations

import asyncio
from math import inf
from pathlib import Path
from random import Random
from time import time
from types import TracebackType
from typing import Final, Self

from edgerelay_dev.network.clock import Clock, system_clock
from edgerelay_dev.network.host import Host
from edgerelay_dev.network.log import DEFAULT_RETENTION_BYTES, EventLog
from edgerelay_dev.network.pds import Pds
from edgerelay_dev.network.plc import Directory
from edgerelay_dev.network.recording import RecordedFeed, ReplayingHost, read_recording
from edgerelay_dev.network.server import HttpServer, http_date
from edgerelay_dev.network.subscription import StreamRules
from edgerelay_dev.network.traffic import Traffic, past_records

__all__ = ["PRODUCTION_RECORDS", "SimulatedNetwork"]

PRODUCTION_RECORDS: Final = 12_000
"""Records per account that make frames as large as those of the real network: measured over 20 accounts, commits of
5.3 KB with 10 blocks, where a recording of the real network (July 2026) has 5.5 KB and 10.5. Takes 0.8 KB a record."""


class SimulatedNetwork:
    """A directory, hosts with accounts, and hosts that replay recordings.

    The same seed gives the same DIDs, keys and choices; with a clock of its own, the same bytes.
    """

    def __init__(
        self,
        seed: int | str = 0,
        hosts: int = 1,
        accounts: int = 20,
        *,
        records: int = 0,
        clock: Clock = system_clock,
        rules: StreamRules | None = None,
        retention_bytes: int = DEFAULT_RETENTION_BYTES,
        first_seq: int = 1,
        legacy_documents: bool = False,
        hostname: str = "localhost",
        base_port: int = 0,
    ) -> None:
        """Describe a network; nothing exists before `start`.

        Args:
            seed: Decides everything that is drawn.
            hosts: Number of live hosts.
            accounts: Accounts in all, dealt to the hosts in turn.
            records: Records that each account has from the beginning; see `PRODUCTION_RECORDS`.
            clock: The network's time; `Date` headers are always real.
            rules: Where hosts differ; applies to all of them.
            retention_bytes: How much each host can replay.
            first_seq: Number of each host's first event; a network that replaces one that relays know starts higher.
            legacy_documents: Write DID documents as older directory software does.
            hostname: Name in all URLs; everything listens on 127.0.0.1.
            base_port: Port of the directory, the hosts follow; 0 takes free ones.
        """
        self.seed = str(seed)
        self.directory = Directory()
        self._clock = clock
        self._rules = rules or StreamRules()
        self._accounts = accounts
        self._records = records
        self._hostname = hostname
        self._base_port = base_port
        self.hosts = [
            Host(
                index,
                self.seed,
                self.directory,
                clock,
                EventLog(retention_bytes, first_seq),
                self._rules,
                legacy_documents=legacy_documents,
            )
            for index in range(hosts)
        ]
        self.replaying: list[ReplayingHost] = []
        self.traffic = Traffic(self.hosts, self.seed)
        self.plc_url = ""
        self._servers: list[HttpServer] = []
        self._flow: asyncio.Task[None] | None = None

    @property
    def served(self) -> list[Host | ReplayingHost]:
        """All hosts, live ones first."""
        return [*self.hosts, *self.replaying]

    async def start(self) -> None:
        """Listen, and open the accounts."""
        directory_server = HttpServer(self.directory.answer, lambda: http_date(time()))
        self.plc_url = await self.listen(directory_server)
        for host in self.hosts:
            host.url = await self.listen(Pds(host).server)
        for number in range(self._accounts if self.hosts else 0):
            self._populate(self.hosts[number % len(self.hosts)])

    async def stop(self) -> None:
        """Stop traffic and close everything."""
        await self.stop_traffic()
        for server in self._servers:
            await server.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def add_replay(
        self, path: Path, *, documents: Path | None = None, rate: float = inf, loop: bool = False, restamp: bool = False
    ) -> ReplayingHost:
        """Add a host that replays a recording, with the documents of its accounts as if they lived there."""
        host = ReplayingHost(RecordedFeed(read_recording(path), rate=rate, loop=loop, restamp=restamp), self._rules)
        host.url = await self.listen(Pds(host).server)
        if documents is not None:
            self.directory.load(documents, host.url)
        self.replaying.append(host)
        return host

    def start_traffic(self, rate: float = inf) -> None:
        """Let accounts write in the background, at so many events a second over all hosts."""
        assert self._flow is None
        self._flow = asyncio.create_task(self.traffic.flow(rate))
        self._flow.add_done_callback(_report)

    async def stop_traffic(self) -> None:
        """Stop what `start_traffic` started; raises what went wrong in it."""
        flow, self._flow = self._flow, None
        if flow is not None and not flow.cancel():
            await flow

    async def listen(self, server: HttpServer) -> str:
        """Add a server to the network; returns its URL."""
        port = await server.start(self._base_port + len(self._servers) if self._base_port else 0)
        self._servers.append(server)
        return f"http://{self._hostname}:{port}"

    def _populate(self, host: Host) -> None:
        account = host.create_account()
        if self._records:
            host.import_records(account, past_records(Random(f"{self.seed}/{account.did}"), self._records))


def _report(flow: asyncio.Task[None]) -> None:
    """Tell at once that traffic has ended by an error, which `stop_traffic` may raise only much later."""
    if not flow.cancelled() and (error := flow.exception()) is not None:
        flow.get_loop().call_exception_handler({"message": "traffic ended", "exception": error, "task": flow})
