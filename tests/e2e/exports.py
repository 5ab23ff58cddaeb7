"""The frames that an operator exports from the state of a relay."""

from __future__ import annotations

import io
from pathlib import Path

from edgerelay_dev.cli import main

__all__ = ["exported_frames"]


def exported_frames(state_dir: Path, out: Path) -> list[bytes]:
    """Export them into a file, and take that apart."""
    assert main(["segments", "export", "--frames", "--state-dir", str(state_dir), "--out", str(out)]) == 0
    stream, found = io.BytesIO(out.read_bytes()), []
    while length := stream.read(4):
        found.append(stream.read(int.from_bytes(length, "big")))
    return found
