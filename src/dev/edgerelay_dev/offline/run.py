"""Run a relay on this machine, connected to a simulated network or to a real host.

Prints the URLs to try, then one line a second of what the relay does, until it is interrupted. Its state stays in the
state folder, so that the next run goes on where this one ended.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn

from edgerelay_dev.offline.bundle import BundleError
from edgerelay_dev.offline.checkout import Checkout, IncompleteError
from edgerelay_dev.offline.preparation import prepare
from edgerelay_dev.offline.workerd import RelayProcess, StartError

__all__ = ["add_arguments", "environment_of", "report_line", "run"]

INTERVAL_S = 1.0
CRON_S = 60.0
"""As often as wrangler.toml says."""
DEFAULT_PORT = 8787
DEFAULT_RATE = 20.0
"""Events a second of the simulated network: enough to see something happen."""
STATE_TIMEOUT_S = 5.0
"""Longer than any answer of a working relay takes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--upstream", help="host to subscribe to, wss://host (default: a simulated network)")
    parser.add_argument("--upstream-kind", choices=["auto", "pds", "relay"], default="auto", help="what that host is")
    parser.add_argument("--plc-url", help="directory of did:plc identities (default: the simulated one, or the public)")
    parser.add_argument("--verify", choices=["strict", "lenient", "trusted"], default="strict", help="what is checked")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"port of the relay (default: {DEFAULT_PORT})")
    parser.add_argument("--state-dir", type=Path, default=Path(".state"), help="embedded storage (default: .state)")
    parser.add_argument("--rate", type=float, default=DEFAULT_RATE, help="events a second of the simulated network")


def run(options: argparse.Namespace) -> int:
    """Run until interrupted."""
    try:
        prepare(Checkout.of_this_file(), lambda line: print(f"setup: {line}", flush=True))
        with ExitStack() as running:
            settings = {"UPSTREAM_KIND": options.upstream_kind, "VERIFY": options.verify}
            if options.upstream is not None:
                settings["UPSTREAM"] = options.upstream
            else:
                urls = running.enter_context(_simulated_network(options.port + 1, options.rate))
                settings["UPSTREAM"] = urls["hosts"][0]["ws"]
                settings["PLC_URL"] = urls["plc"]
            if options.plc_url is not None:
                settings["PLC_URL"] = options.plc_url
            settings["ENVIRONMENT"] = environment_of(settings)
            print(f"upstream {settings['UPSTREAM']}; starting the relay", flush=True)
            relay = running.enter_context(RelayProcess(options.state_dir, options.port, settings))
            _print_urls(relay, settings["UPSTREAM"])
            Thread(target=_fire_forever, args=(relay,), daemon=True).start()
            _report_forever(relay)
    except (BundleError, IncompleteError, StartError) as error:
        print(f"edgerelay run: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nstopped; the state is in {options.state_dir}")
        return 0


def environment_of(settings: Mapping[str, str]) -> str:
    """`production` where that is possible: it keeps the relay from asking private addresses that strangers name."""
    is_public = settings["UPSTREAM"].startswith("wss://") and not settings.get("PLC_URL", "").startswith("http://")
    return "production" if is_public else "develop"


@contextmanager
def _simulated_network(port: int, rate: float) -> Iterator[dict[str, Any]]:
    """Run the simulated network as a process of its own, and give its URLs.

    Its ports are fixed, so that the next run of the relay finds the same host again. The host's accounts are new in
    every run, and its numbers begin beyond those of the run before: to a relay that remembers, the host was away.
    """
    started = str(int(time.time() * 1_000))
    command = [sys.executable, "-m", "edgerelay_dev.network", "--port", str(port), "--rate", str(rate)]
    command += ["--seed", started, "--first-seq", started]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            if not first:
                raise StartError(f"the simulated network did not start; are ports from {port} on free?")
            yield json.loads(first)
        finally:
            process.terminate()


def _print_urls(relay: RelayProcess, upstream: str) -> None:
    websocket = relay.url.replace("http://", "ws://")
    for what, url in (
        ("what it is", f"{relay.url}/"),
        ("health", f"{relay.url}/health"),
        ("state", f"{relay.url}/state"),
        ("refused", f"{relay.url}/hosts/{upstream.rpartition('/')[2]}/rejects"),
        ("firehose", f"{websocket}/xrpc/com.atproto.sync.subscribeRepos"),
        ("jetstream", f"{websocket}/subscribe?wantedCollections=app.bsky.feed.post"),
        ("log", str(relay.log_path)),
    ):
        print(f"  {what:<11} {url}")
    sys.stdout.flush()


def _fire_forever(relay: RelayProcess) -> NoReturn:
    """Do for the relay what the platform's cron does."""
    while True:
        time.sleep(CRON_S)
        try:
            relay.fire_cron()
        except (OSError, HTTPException) as error:
            print(f"{time.strftime('%H:%M:%S')}  the cron failed: {error}", flush=True)


def _report_forever(relay: RelayProcess) -> NoReturn:
    """Print a line a second; raises StartError when the relay ends by itself."""
    before: dict[str, Any] = {}
    while relay.pids:
        time.sleep(INTERVAL_S)
        try:
            with urllib.request.urlopen(f"{relay.url}/state", timeout=STATE_TIMEOUT_S) as response:
                state: dict[str, Any] = json.load(response)
        except (OSError, HTTPException, ValueError) as error:
            print(f"{time.strftime('%H:%M:%S')}  /state does not answer: {error}", flush=True)
            continue
        print(f"{time.strftime('%H:%M:%S')}  {report_line(before, state)}", flush=True)
        before = state
    raise StartError(f"the relay has ended:\n{relay.log_tail()}")


def report_line(before: dict[str, Any], state: dict[str, Any]) -> str:
    """Return what happened between two answers of /state, in one line; `before` is empty for the first."""
    upstream = state["upstream"]
    frames_in = upstream["frames"] - before["upstream"]["frames"] if before else 0
    events_out = state["events"] - before["events"] if before else 0
    refused = sum(upstream["rejects"].values()) - sum(before["upstream"]["rejects"].values()) if before else 0
    clients = sum(shard["clients"] for shard in state["shards"])
    return (
        f"{upstream['state']:<12}  in {frames_in:>6}  out {events_out:>6}  refused {refused:>4}"
        f"  lag {upstream['lag_us'] / 1_000_000:.3f} s  clients {clients}"
    )
