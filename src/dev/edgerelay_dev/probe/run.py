"""Watch a deployed relay from outside, and write down what no local runtime can show.

How long RelayState and its upstream socket live, how long a flush takes to be durable, whether objects share an
isolate, whether sockets tell what waits in them, how long connecting takes; and what a deployment does: whether the
probe's own socket is cut, and whether its stream goes on without loss. Prints what changes, and writes JSON at the
end, also when interrupted: `--watch` goes on until then.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edgerelay import __version__
from edgerelay_dev.probe.observations import utc
from edgerelay_dev.probe.watch import ProbeError, Watch

__all__ = ["add_arguments", "run"]

DEFAULT_MINUTES = 10.0
DEFAULT_EVERY_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("url", help="the relay, https://host")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=DEFAULT_MINUTES, help="how long (default: %(default)g)")
    length.add_argument("--watch", action="store_true", help="until interrupted")
    every = "seconds between two looks at /state, and two connections (default: %(default)g)"
    parser.add_argument("--every", type=float, default=DEFAULT_EVERY_S, help=every)
    parser.add_argument("--out", type=Path, help="the file to write (default: probe-HOST-DATE.json)")


def run(options: argparse.Namespace) -> int:
    """Watch, and write the report."""
    started = time.time()
    out = options.out or Path(f"probe-{urlsplit(options.url).hostname}-{utc(started).replace(':', '')}.json")
    try:
        report = asyncio.run(_watch(options.url, None if options.watch else options.minutes * 60, options.every))
    except ProbeError as error:
        print(f"edgerelay probe: {error}", file=sys.stderr)
        return 1
    header = {"probe": __version__, "url": options.url, "started": utc(started), "ended": utc(time.time())}
    out.write_text(json.dumps(header | report, indent=2) + "\n")
    print(f"written to {out}")
    return 0


async def _watch(url: str, seconds: float | None, every_s: float) -> dict[str, Any]:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with Watch(url, lambda line: print(f"{utc(time.time())}  {line}", flush=True)) as watch:
        await watch.identify()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                loops = [watch.look_often(every_s), watch.follow(), watch.connect_often(every_s)]
                tasks = [group.create_task(loop) for loop in loops]
                await stopped.wait()
                for task in tasks:
                    task.cancel()
        return watch.report()
