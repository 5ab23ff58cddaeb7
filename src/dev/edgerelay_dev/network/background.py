"""A simulated network for callers without an event loop: in a thread, or in a process of its own.

The thread shares memory (`call` runs anything on the network's loop); the process leaves this one's core alone and is
commanded over HTTP (see `control`).
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from threading import Thread
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast
from urllib.request import Request, urlopen

from edgerelay_dev.network.network import SimulatedNetwork

__all__ = ["NetworkProcess", "NetworkThread"]

_CALL_LIMIT_S: Final = 60.0
"""Longest that a call may take: filling production-shaped repositories is the slowest."""

_STOP_LIMIT_S: Final = 10.0

Result = TypeVar("Result")


class NetworkThread:
    """Runs a network on an event loop in a thread; leave everything of it to `call`, save its URLs."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self.network = network
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="simulated network", daemon=True)

    def call(self, function: Callable[[SimulatedNetwork], Result]) -> Result:
        """Call a function with the network on its loop, and return what it returns."""

        async def run() -> Result:
            return function(self.network)

        return self.wait_for(run())

    def wait_for(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on the network's loop, and return what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_CALL_LIMIT_S)

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait_for(self.network.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wait_for(self.network.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_LIMIT_S)
        self._loop.close()


class NetworkProcess:
    """Runs `python -m edgerelay_dev.network` with some arguments until left."""

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        self._arguments = arguments

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "edgerelay_dev.network", *self._arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.stdout.close()
            raise RuntimeError(f"the network did not start: exit status {self._process.wait(_STOP_LIMIT_S)}")
        self.ready: dict[str, Any] = json.loads(line)
        """The line that the command prints when it is ready: `plc`, `control`, `hosts`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def plc_url(self) -> str:
        """The directory."""
        return cast(str, self.ready["plc"])

    def ws_url(self, index: int = 0) -> str:
        """A host's stream: live hosts first, then the replaying ones."""
        return cast(str, self.ready["hosts"][index]["ws"])

    def get(self, path: str = "/") -> Any:
        """Ask the control endpoint."""
        with urlopen(f"{self.ready['control']}{path}", timeout=_CALL_LIMIT_S) as answer:
            return json.load(answer)

    def post(self, path: str, **arguments: object) -> Any:
        """Command the control endpoint."""
        request = Request(f"{self.ready['control']}{path}", json.dumps(arguments).encode(), method="POST")
        with urlopen(request, timeout=_CALL_LIMIT_S) as answer:
            return json.load(answer)
