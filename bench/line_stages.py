"""Times the Jetstream lines of frames, stage by stage: python bench/line_stages.py RECORDING [FRAMES] [ROUNDS].

Runs on CPython and inside Pyodide; `lines.py` starts both. Prints a JSON object of microseconds by stage, each frame
with the best of its rounds.
"""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path

from timings import best_us, read_frames

from edgerelay.archive.jetstream import render
from edgerelay.atproto.car import parse_car
from edgerelay.atproto.cid import cid_to_text
from edgerelay.atproto.fast_commit import read_common_commit
from edgerelay.atproto.record_json import record_to_json


def main(recording: str, frames: str = "1500", rounds: str = "10") -> None:
    raw, turns = list(islice(read_frames(Path(recording)), int(frames))), int(rounds)
    commits = [common[1] for common in map(read_common_commit, raw) if common is not None]
    written = [(commit, commit.ops[0].cid) for commit in commits if commit.ops[0].cid is not None]
    cids = [cid for _, cid in written]
    records = [parse_car(commit.blocks, {cid}).blocks[cid] for commit, cid in written]
    stages = {
        "frame, message": best_us(read_common_commit, raw, turns),
        "CAR, hash of the record": best_us(lambda item: parse_car(item[0].blocks, {item[1]}), written, turns),
        "record to JSON": best_us(record_to_json, records, turns),
        "CID to text": best_us(cid_to_text, cids, turns),
        "all of a frame's lines": best_us(render, raw, turns),
    }
    rendered = [line.json for frame in raw for line in render(frame).lines]
    counts = {"frames": len(raw), "lines": len(rendered), "line_bytes": sum(map(len, rendered)) // len(rendered)}
    print(json.dumps({"python": sys.version.split()[0], **counts, "stages": stages}))


if __name__ == "__main__":
    main(*sys.argv[1:])
