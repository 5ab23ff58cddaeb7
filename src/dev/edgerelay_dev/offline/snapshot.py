"""A memory snapshot of the interpreter just after it has started, which halves the time of every start.

Production starts from such snapshots too. This one holds Pyodide alone, nothing of the Worker, so that it depends on
the bundle and on workerd only.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from edgerelay_dev.offline.checkout import IncompleteError

__all__ = ["SNAPSHOT_NAME", "take_snapshot"]

SNAPSHOT_NAME = "snapshot.bin"
"""The name under which workerd saves it."""

TIMEOUT_S = 120.0
"""Taking one needs two seconds on an idle machine."""

# A Worker without any package: the flag `disable_python_external_sdk` spares it the SDK.
CONFIGURATION = """\
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "main", worker = .empty)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const empty :Workerd.Worker = (
  modules = [(
    name = "entry.py",
    pythonModule = "from workers import WorkerEntrypoint\\nclass Default(WorkerEntrypoint):\\n  pass\\n",
  )],
  compatibilityDate = "%s",
  compatibilityFlags = [%s, "disable_python_external_sdk"],
);
"""


def take_snapshot(workerd: Path, bundle: Path, date: str, flags: Sequence[str], folder: Path) -> None:
    """Write the snapshot for this bundle and these compatibility settings into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / SNAPSHOT_NAME
    target.unlink(missing_ok=True)
    configuration = folder / "snapshot.capnp"
    configuration.write_text(CONFIGURATION % (date, ", ".join(f'"{flag}"' for flag in flags)))
    command = [str(workerd), "serve", str(configuration), "--experimental", "--control-fd=1"]
    command += [f"--pyodide-bundle-disk-cache-dir={bundle}"]
    command += ["--python-save-baseline-snapshot", f"--python-snapshot-dir={folder}"]
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        alarm = threading.Timer(TIMEOUT_S, process.kill)
        alarm.start()
        for line in process.stdout:
            lines.append(line)
            if '"event":"listen"' in line:  # the Worker is loaded, so the snapshot is written
                break
        process.terminate()
        alarm.cancel()
    if not target.is_file():
        raise IncompleteError(f"workerd wrote no snapshot of the interpreter:\n{''.join(lines).strip()}")
