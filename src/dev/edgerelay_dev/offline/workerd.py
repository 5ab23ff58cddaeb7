"""A relay that runs on workerd: started, killed in every way, and started again on the same state.

`wrangler dev` is the process that is started. It runs two workerd processes: a proxy that listens on the port of the
relay, and the one that runs the Worker.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from edgerelay_dev.offline.checkout import Checkout
from edgerelay_dev.offline.configuration import write_configuration
from edgerelay_dev.offline.preparation import prepare
from edgerelay_dev.offline.processes import descendants

__all__ = ["RelayProcess", "StartError"]

HOST = "127.0.0.1"
START_TIMEOUT_S = 60.0
"""A start takes a few seconds; a loaded machine with a cold disk has taken ten times that."""
STOP_TIMEOUT_S = 5.0
"""How long wrangler may take to stop by itself; it needs less than one second."""
POLL_S = 0.05
TAIL_BYTES = 4_000
"""How much of the log a failure quotes."""

ENVIRONMENT = {
    "CI": "1",
    "WRANGLER_SEND_METRICS": "false",
    "CLOUDFLARE_CF_FETCH_ENABLED": "false",
    "FORCE_COLOR": "0",
}
"""No questions, no reports, no colours, and no request for the location of the machine."""


class StartError(Exception):
    """The relay did not start; the message ends with the tail of its log."""


class RelayProcess:
    """One relay on workerd, with its own ports and configuration; several can run at the same time.

    A context manager: entering starts the relay, leaving stops it.

    Attributes:
        state_dir: the folder of the embedded storage, which outlives every start.
        port: the port of the relay, the same for every start.
        inspector_port: the port of the inspector of both workerd processes.
        log_path: what wrangler and the Worker write, one start after the other.
    """

    def __init__(
        self,
        state_dir: Path,
        port: int = 0,
        vars: Mapping[str, str] | None = None,
        log_path: Path | None = None,
    ) -> None:
        self.state_dir = state_dir.resolve()
        self.port = port or _free_port()
        self.inspector_port = _free_port()
        self.vars = dict(vars or {})
        self._folder = self.state_dir / ".run"
        self.log_path = log_path or self._folder / "relay.log"
        self._wrangler: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def pids(self) -> list[int]:
        """The ids of all its processes: wrangler first, then its descendants; empty when it does not run."""
        if self._wrangler is None or self._wrangler.poll() is not None:
            return []
        return [self._wrangler.pid, *(process.pid for process in descendants(self._wrangler.pid))]

    @property
    def workerd_pids(self) -> list[int]:
        """The ids of the workerd processes, the proxy among them."""
        if self._wrangler is None:
            return []
        return [process.pid for process in descendants(self._wrangler.pid) if "/workerd serve " in process.command]

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start the relay and wait until GET / answers, whatever the answer."""
        if self.pids:
            raise StartError(f"the relay on {self.url} runs already")
        prepared = prepare(Checkout.of_this_file())
        configuration = write_configuration(prepared.checkout, self._folder, self.vars)
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._wrangler = self._spawn(prepared.checkout, configuration, prepared.workerd, log)
        try:
            self._wait_until_answering(time.monotonic() + timeout_s)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End wrangler and workerd at once, without giving them a chance to write anything (SIGKILL)."""
        if self._wrangler is None:
            return
        try:
            os.killpg(self._wrangler.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._wrangler.wait()
        self._wrangler = None

    def kill_workerd(self) -> None:
        """End the workerd processes at once (SIGKILL) and leave wrangler to notice."""
        for pid in self.workerd_pids:
            os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End the relay the polite way (SIGTERM), then what is left of it."""
        if self._wrangler is None:
            return
        self._wrangler.terminate()
        try:
            self._wrangler.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def restart(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Kill the relay and start it on the same state and port."""
        self.kill()
        self.start(timeout_s)

    def log_tail(self) -> str:
        """Return the end of the log."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as file:
            file.seek(max(0, self.log_path.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _spawn(self, checkout: Checkout, configuration: Path, workerd: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [str(checkout.node), str(checkout.wrangler), "dev", "--local"]
        command += ["--config", str(configuration), "--persist-to", str(self.state_dir)]
        command += ["--ip", HOST, "--port", str(self.port), "--inspector-port", str(self.inspector_port)]
        environment = {**os.environ, **ENVIRONMENT, "MINIFLARE_WORKERD_PATH": str(workerd)}
        environment["PATH"] = os.pathsep.join([str(checkout.node.parent), environment.get("PATH", os.defpath)])
        return subprocess.Popen(
            command,
            cwd=self._folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _wait_until_answering(self, deadline: float) -> None:
        assert self._wrangler is not None
        while time.monotonic() < deadline:
            if self._wrangler.poll() is not None:
                raise StartError(f"wrangler ended with {self._wrangler.returncode}:\n{self.log_tail()}")
            if _answers(self.port, deadline - time.monotonic()):
                return
            time.sleep(POLL_S)
        raise StartError(f"no answer on {self.url} in time:\n{self.log_tail()}")


def _answers(port: int, timeout_s: float) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=max(timeout_s, POLL_S))
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return True
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
