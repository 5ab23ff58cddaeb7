"""The Worker of bare loops on the offline runtime."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urlencode
from urllib.request import urlopen

from relay_runs import cpu_s
from subscribers import Subscribers

from edgerelay_dev.offline.checkout import Checkout
from edgerelay_dev.offline.configuration import write_configuration
from edgerelay_dev.offline.preparation import Prepared
from edgerelay_dev.offline.workerd import RelayProcess

__all__ = ["WARM_UP", "BareProcess", "Sends", "measure_send"]

LIMIT_S = 90.0
WARM_UP = 5_000
"""Messages before a bare loop is measured, in which the runtime compiles it."""

FOLDER = Path(__file__).with_name("bare")


class BareCheckout(Checkout):
    """`bench/bare`, with the packages of the checkout around it."""

    @property
    def python_modules(self) -> Path:
        return Checkout.of_this_file().python_modules


class BareProcess(RelayProcess):
    """Runs `bench/bare` in the place of the relay."""

    def receive(self, url: str, frames: int, work: str) -> float:
        """Let it read so many frames of a stream; returns frames a second."""
        return self._ask("/receive", url=url, frames=frames, work=work)

    def send(self, messages: int, size_bytes: int) -> float:
        """Let it send so many messages to each subscriber; returns messages a second, over all of them."""
        return self._ask("/send", messages=messages, bytes=size_bytes)

    def _ask(self, path: str, **arguments: object) -> float:
        with urlopen(f"{self.worker_url}{path}?{urlencode(arguments)}", timeout=LIMIT_S) as response:
            answer: dict[str, Any] = json.load(response)
        return float(answer["messages"] / answer["ms"] * 1_000)

    def _spawn(self, prepared: Prepared, configuration: Path, lock: IO[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        configuration = write_configuration(BareCheckout(FOLDER), configuration.parent, self.vars)
        return super()._spawn(prepared, configuration, lock, log)


class Sends(NamedTuple):
    """What bare sends took."""

    per_s: float
    cpu_us: float
    """Of the whole process, for each."""


def measure_send(bare: BareProcess, sockets: int, total: int, size_bytes: int) -> Sends:
    """Send to so many sockets, `total` messages over all of them; they read meanwhile."""
    with Subscribers(f"{bare.worker_url}/subscribe", sockets) as readers:
        _send_while_reading(bare, readers, max(1, WARM_UP // sockets), size_bytes)
        before_s = cpu_s(bare.worker_pid)
        per_s = _send_while_reading(bare, readers, total // sockets, size_bytes)
        return Sends(per_s, (cpu_s(bare.worker_pid) - before_s) / total * 1_000_000)


def _send_while_reading(bare: BareProcess, readers: Subscribers, messages: int, size_bytes: int) -> float:
    """Messages a second, over all readers, of which each gets so many."""
    until, answers = readers.messages[0] + messages, list[float]()
    sender = threading.Thread(target=lambda: answers.append(bare.send(messages, size_bytes)))
    sender.start()
    readers.read_until(until, LIMIT_S)
    sender.join()
    return answers[0]
