"""Times what verifying a commit takes in the atproto layer, stage by stage: python bench/atproto.py [CAPTURE] [ROUNDS].

Runs on CPython and, being pure, in Pyodide. The frames are those of `capture/deep`, production-shaped: 5.3 KB, ten
blocks. Signatures belong to the runtime and are not in it. Each commit counts with the best of its rounds: on a shared
machine the mean says more about the neighbours.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cbor2 import loads

from edgerelay.atproto.car import parse_car
from edgerelay.atproto.cid import Cid, cid_from_link
from edgerelay.atproto.commit import announced_commit
from edgerelay.atproto.dagcbor import decode_pair
from edgerelay.atproto.inversion import check_inversion
from edgerelay.atproto.messages import RepoOp
from edgerelay.atproto.mst import parse_node

ROOT = Path(__file__).resolve().parents[1]
HEADER_BYTES = 15
"""Of a `#commit`."""


def read_frames(path: Path) -> Iterator[bytes]:
    data, at = path.read_bytes(), 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        at += 4 + length
        yield data[at - length : at]


def cid(link: Any) -> Cid | None:
    return None if link is None else cid_from_link(link)


def measure(stage: str, work: Callable[[Any], object], items: Sequence[Any], rounds: int) -> float:
    best = [float("inf")] * len(items)
    for _ in range(rounds):
        for index, item in enumerate(items):
            started = time.perf_counter()
            work(item)
            best[index] = min(best[index], time.perf_counter() - started)
    micros = sum(best) / len(items) * 1e6
    print(f"{stage:<44} {micros:8.1f} us")
    return micros


def main(name: str = "deep", rounds: str = "20") -> None:
    shared = Path(os.environ.get("EDGERELAY_VECTORS", ROOT.parent / "shared"))
    frames = [frame for frame in read_frames(shared / "capture" / f"{name}.bin") if b"#commit" in frame[:HEADER_BYTES]]
    bodies = [loads(frame[HEADER_BYTES:]) for frame in frames]
    cars = [parse_car(body["blocks"]) for body in bodies]
    announced = [
        (car, body["repo"], body["rev"], cid_from_link(body["commit"])) for car, body in zip(cars, bodies, strict=True)
    ]
    nodes = [[block for block in car.blocks.values() if block.startswith(b"\xa2ae")] for car in cars]
    inversions = [
        (
            car.blocks,
            announced_commit(car, body["repo"], body["rev"]).data,
            [RepoOp(op["action"], op["path"], cid(op["cid"]), cid(op.get("prev"))) for op in body["ops"]],
            cid_from_link(body["prevData"]),
        )
        for car, body in zip(cars, bodies, strict=True)
        if "prevData" in body
    ]
    print(f"{sys.platform}, Python {sys.version.split()[0]}, {len(frames)} commits of {name}")
    turns = int(rounds)
    measure(
        "(cbor2 alone, without any check)", lambda frame: (loads(frame), loads(frame[HEADER_BYTES:])), frames, turns
    )
    measure("(all tree nodes, parsed alone)", lambda blocks: [parse_node(block) for block in blocks], nodes, turns)
    total = sum(
        (
            measure("frame: strict DAG-CBOR", decode_pair, frames, turns),
            measure("CAR: blocks, hashes", parse_car, [body["blocks"] for body in bodies], turns),
            measure("commit object, signed bytes, agreement", lambda item: announced_commit(*item), announced, turns),
            measure("operations, inversion", lambda item: check_inversion(*item), inversions, turns),
        )
    )
    print(f"{'together, without the signature':<44} {total:8.1f} us  {1e6 / total:,.0f}/s")


if __name__ == "__main__":
    main(*sys.argv[1:])
