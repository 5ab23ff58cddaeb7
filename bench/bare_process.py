"""The Worker of bare loops on the offline runtime."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode
from urllib.request import urlopen

from edgerelay_dev.offline.checkout import Checkout
from edgerelay_dev.offline.configuration import write_configuration
from edgerelay_dev.offline.preparation import Prepared
from edgerelay_dev.offline.workerd import RelayProcess

__all__ = ["BareProcess"]

LIMIT_S = 90.0
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
