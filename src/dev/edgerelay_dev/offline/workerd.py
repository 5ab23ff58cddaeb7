"""A relay that runs on workerd: started, killed in every way, and started again on the same state.

`wrangler dev` is the process that is started. It runs two workerd processes: a proxy, which listens on the port of the
relay, and the one that runs the Worker, which listens on a port of its own and starts anew whenever it ends.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from edgerelay_dev.offline.checkout import Checkout
from edgerelay_dev.offline.configuration import write_configuration
from edgerelay_dev.offline.preparation import WORKER_PORT, Prepared, prepare
from edgerelay_dev.offline.processes import descendants, running

__all__ = ["ENVIRONMENT", "RelayProcess", "StartError"]

HOST = "127.0.0.1"
START_TIMEOUT_S = 60.0
"""A start takes a few seconds; a loaded machine with a cold disk has taken ten times that."""
STOP_TIMEOUT_S = 5.0
"""How long wrangler may take to stop by itself; it needs less than one second."""
LOCK_TIMEOUT_S = 5.0
"""How long another relay may hold the state before a start gives up."""
CRON_TIMEOUT_S = 120.0
"""How long what happens every minute may take: it begins nothing more after 20 s."""
POLL_S = 0.05
PORTS = range(20_000, 32_000)
PORT_ATTEMPTS = 100
TAIL_BYTES = 4_000
"""How much of the log a failure quotes."""

TEMPORARY = "tmp"

ENVIRONMENT = {
    "CI": "1",
    "WRANGLER_SEND_METRICS": "false",
    "WRANGLER_WRITE_LOGS": "false",
    "CLOUDFLARE_CF_FETCH_ENABLED": "false",
    "NO_COLOR": "1",
}
"""No questions, no reports, no files elsewhere, no request for the location of the machine, and no colours."""


class StartError(Exception):
    """The relay did not start; the message ends with the tail of its log."""


class RelayProcess:
    """One relay on workerd, with its own ports and configuration; several can run at the same time.

    A context manager: entering starts the relay, leaving stops it.

    Attributes:
        state_dir: the folder of the embedded storage, which outlives every start.
        port: the port of the relay, the same for every start.
        worker_port: the port of the Worker without the proxy, which costs as much per message as the Worker's sending.
        inspector_port: the port of the inspector.
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
        free_port, self.worker_port, self.inspector_port = _free_ports(3)
        self.port = port or free_port
        self.vars = dict(vars or {})
        self._folder = self.state_dir / ".run"
        self.log_path = log_path or self._folder / "relay.log"
        self._wrangler: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def worker_url(self) -> str:
        """The URL past the proxy: for benchmarks, and to see the moment in which the Worker is back."""
        return f"http://{HOST}:{self.worker_port}"

    @property
    def pids(self) -> list[int]:
        """The ids of all its processes: wrangler first, then its descendants; empty when it does not run."""
        if self._wrangler is None or self._wrangler.poll() is not None:
            return []
        return [self._wrangler.pid, *(process.pid for process in descendants(self._wrangler.pid))]

    @property
    def worker_pid(self) -> int | None:
        """The id of the workerd process that runs the Worker; None while it does not run."""
        address = f"--socket-addr=entry={HOST}:{self.worker_port} "
        processes = descendants(self._wrangler.pid) if self._wrangler else []
        return next((process.pid for process in processes if address in process.command), None)

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start the relay and wait until it answers."""
        if self.pids:
            raise StartError(f"the relay on {self.url} runs already")
        prepared = prepare(Checkout.of_this_file())
        self._folder.mkdir(parents=True, exist_ok=True)
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock, self.log_path.open("ab") as log:
            self._take(lock)
            self._renew_temporary()
            configuration = write_configuration(prepared.checkout, self._folder, self.vars)
            self._wrangler = self._spawn(prepared, configuration, lock, log)
        try:
            self.wait_until_answering(timeout_s)
        except BaseException:
            self.kill()
            raise

    def _take(self, lock: IO[str]) -> None:
        """Lock the state. The lock is handed on to wrangler, and so held until that ends, even after this process.

        Whatever inherited it from a relay that was killed may outlive that for a moment.
        """
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StartError(f"another relay runs on the state in {self.state_dir}") from None
                time.sleep(POLL_S)
            else:
                return

    def kill(self) -> None:
        """End wrangler and workerd at once, without giving them a chance to write anything (SIGKILL)."""
        self._end(self.pids)

    def kill_workerd(self) -> None:
        """End the Worker's workerd process at once (SIGKILL): wrangler and the proxy live, and start it anew.

        The quickest crash there is; `wait_until_answering` tells when the Worker is back. The proxy is spared because
        wrangler does not recover from the loss of both.
        """
        pid = self.worker_pid
        if pid is None:
            raise StartError(f"no Worker to kill on {self.url}")
        os.kill(pid, signal.SIGKILL)

    def wait_until_answering(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until GET / answers, whatever the answer, first from the Worker itself and then through the proxy."""
        deadline = time.monotonic() + timeout_s
        for port in (self.worker_port, self.port):
            while not _answers(port, deadline - time.monotonic()):
                if self._wrangler is None or self._wrangler.poll() is not None:
                    raise StartError(f"wrangler has ended:\n{self.log_tail()}")
                if time.monotonic() > deadline:
                    raise StartError(f"no answer from port {port} within {timeout_s} s:\n{self.log_tail()}")
                time.sleep(POLL_S)

    def fire_cron(self, timeout_s: float = CRON_TIMEOUT_S) -> None:
        """Do what the platform does every minute, and wait until it is done. Raises `OSError` if it is not."""
        with urllib.request.urlopen(f"{self.url}/cdn-cgi/handler/scheduled", timeout=timeout_s):
            pass

    def stop(self) -> None:
        """End the relay the polite way (SIGTERM), then what is left of it."""
        pids = self.pids
        if self._wrangler is not None and pids:
            self._wrangler.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._wrangler.wait(STOP_TIMEOUT_S)
        self._end(pids)

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

    def _renew_temporary(self) -> None:
        """Remove what wrangler keeps while it runs, and cannot remove when it is killed."""
        for name in (TEMPORARY, ".wrangler"):
            shutil.rmtree(self._folder / name, ignore_errors=True)
        # Every start would ask the registry for the newest wrangler, and wait for it, unless it did so a while ago.
        asked = self._folder / TEMPORARY / "update-check" / "wrangler-latest.json"
        asked.parent.mkdir(parents=True)
        asked.write_text(json.dumps({"latest": None, "lastUpdate": int(time.time() * 1_000)}))

    def _end(self, pids: list[int]) -> None:
        """Kill what is left of wrangler's process group, of which `pids` are known, and wait until it is gone."""
        if self._wrangler is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._wrangler.pid, signal.SIGKILL)
        self._wrangler.wait()
        self._wrangler = None
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while running(pids):  # the operating system takes a moment, and holds the state and the ports until then
            if time.monotonic() > deadline:
                raise StartError(f"the processes {running(pids)} outlived SIGKILL for {STOP_TIMEOUT_S} s")
            time.sleep(POLL_S)

    def _spawn(self, prepared: Prepared, configuration: Path, lock: IO[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        checkout = prepared.checkout
        command = [str(checkout.node), str(checkout.wrangler), "dev", "--local"]
        command += ["--config", str(configuration), "--persist-to", str(self.state_dir)]
        command += ["--ip", HOST, "--port", str(self.port), "--inspector-port", str(self.inspector_port)]
        environment = {**os.environ, **ENVIRONMENT, "MINIFLARE_WORKERD_PATH": str(prepared.workerd)}
        environment["TMPDIR"] = str(self._folder / TEMPORARY)
        environment[WORKER_PORT] = str(self.worker_port)
        environment["PATH"] = os.pathsep.join([str(checkout.node.parent), environment.get("PATH", os.defpath)])
        return subprocess.Popen(
            command,
            cwd=self._folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock.fileno()],
        )


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


def _free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on, and that no connection takes by chance while the relay is down.

    The system takes the ports of outgoing connections from a higher range; a client that tries to reach a relay that
    is just starting could otherwise be given the relay's own port.
    """
    ports: list[int] = []
    for port in random.sample(PORTS, PORT_ATTEMPTS):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            ports.append(port)
            if len(ports) == count:
                return ports
    raise StartError(f"no free ports among {PORT_ATTEMPTS} from {PORTS.start} to {PORTS.stop}")
