"""Production-shaped streams, recorded from the simulated network once and kept."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path

from edgerelay_dev.network.recording import read_recording
from edgerelay_dev.offline.checkout import Checkout

__all__ = ["production_recording", "shortened"]

LENGTH_BYTES = 4


def production_recording(events: int) -> Path:
    """Return a recording of so many events and those that open the accounts; takes a minute when there is none yet."""
    folder = Checkout.of_this_file().cache / "recordings"
    path = folder / f"production-{events}.bin"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        print(f"recording {events} production-shaped events, once", flush=True)
        command = [sys.executable, "-m", "edgerelay_dev.network", "--production", "--exit"]
        command += ["--events", str(events), "--record", str(partial)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        partial.rename(path)
    return path


def shortened(recording: Path, frames: int, folder: Path) -> Path:
    """Write the first frames of a recording into a folder."""
    path = folder / f"{recording.stem}-first-{frames}.bin"
    with path.open("wb") as file:
        for frame in islice(read_recording(recording), frames):
            file.write(len(frame).to_bytes(LENGTH_BYTES, "big") + frame)
    return path
