"""Run a simulated network until interrupted; the first line on standard output is JSON with its URLs."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from contextlib import ExitStack, suppress
from math import inf
from pathlib import Path
from time import time

from edgerelay_dev.network.control import Control
from edgerelay_dev.network.network import PRODUCTION_RECORDS, SimulatedNetwork
from edgerelay_dev.network.recording import Recorder
from edgerelay_dev.network.server import HttpServer, http_date
from edgerelay_dev.network.subscription import StreamRules

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m edgerelay_dev.network", description=__doc__)
    parser.add_argument("--seed", default="0", help="decides DIDs, keys and traffic (default: 0)")
    parser.add_argument("--hosts", type=int, default=1, help="live hosts (default: 1)")
    parser.add_argument("--accounts", type=int, default=20, help="accounts over all hosts (default: 20)")
    parser.add_argument("--records", type=int, default=0, help="records that each account has from the beginning")
    production = f"frames as large as the real network's: {PRODUCTION_RECORDS} records per account"
    parser.add_argument("--production", action="store_true", help=production)
    parser.add_argument(
        "--rate", type=float, default=0.0, help="events a second over all hosts; inf is as fast as it can (default: 0)"
    )
    parser.add_argument("--events", type=int, default=0, help="events made before the network is ready")
    parser.add_argument("--first-seq", type=int, default=1, help="number of each host's first event (default: 1)")
    parser.add_argument("--inclusive", action="store_true", help="replay from the cursor itself, not from behind it")
    parser.add_argument("--legacy-documents", action="store_true", help="DID documents in the older form")
    parser.add_argument("--hostname", default="localhost", help="name in all URLs (default: localhost)")
    parser.add_argument("--port", type=int, default=0, help="port of the directory, hosts follow (default: free ones)")
    parser.add_argument(
        "--record", type=Path, help="write host 0's stream to this file, and documents to FILE.plc.json"
    )
    parser.add_argument("--exit", action="store_true", help="end when the events are made, as for --record")
    parser.add_argument("--replay", type=Path, action="append", default=[], help="add a host that replays a file")
    parser.add_argument(
        "--replay-documents", type=Path, help="DID documents of the recordings, as --record writes them"
    )
    parser.add_argument("--replay-rate", type=float, default=inf, help="frames a second of each replay (default: inf)")
    parser.add_argument("--replay-loop", action="store_true", help="start over at the end, with growing numbers")
    parser.add_argument("--replay-restamp", action="store_true", help="give replayed frames the present time")
    return parser


def main() -> None:
    """Parse the command line and run."""
    asyncio.run(_run(_parser().parse_args()))


async def _run(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    network = SimulatedNetwork(
        options.seed,
        options.hosts,
        options.accounts,
        records=options.records or (PRODUCTION_RECORDS if options.production else 0),
        rules=StreamRules(inclusive=options.inclusive),
        first_seq=options.first_seq,
        legacy_documents=options.legacy_documents,
        hostname=options.hostname,
        base_port=options.port,
    )
    with ExitStack() as files:
        if options.record is not None:
            network.hosts[0].listeners.append(Recorder(files.enter_context(options.record.open("wb"))))
        async with network:
            await _add_replays(network, options)
            control_url = await network.listen(HttpServer(Control(network).answer, lambda: http_date(time())))
            network.traffic.run(options.events)
            if options.record is not None:
                network.directory.save(Path(f"{options.record}.plc.json"))
            print(json.dumps(_urls(network, control_url)), flush=True)
            if options.rate:
                network.start_traffic(options.rate)
            if not options.exit:
                await stopped.wait()


async def _add_replays(network: SimulatedNetwork, options: argparse.Namespace) -> None:
    for path in options.replay:
        await network.add_replay(
            path,
            documents=options.replay_documents,
            rate=options.replay_rate,
            loop=options.replay_loop,
            restamp=options.replay_restamp,
        )


def _urls(network: SimulatedNetwork, control_url: str) -> dict[str, object]:
    hosts = [{"url": host.url, "ws": host.ws_url} for host in network.served]
    return {"plc": network.plc_url, "control": control_url, "hosts": hosts}


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
