"""Times what verifying a commit takes, stage by stage: python bench/stages.py RECORDING [FRAMES] [ROUNDS].

Runs on CPython, and inside Pyodide in Node with the Worker's own cryptography; `verify.py` starts both. Prints a JSON
object of microseconds by stage. Each commit and each batch of signatures counts with the best of its rounds: on a
shared machine the mean says more about the neighbours. What takes longer than one commit is told in CPU time.

The last stage is a whole RelayState without sockets: its node, over SQLite in memory.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from timings import best_us, cpu_s, read_frames

from edgerelay.archive.codec import ZlibCodec
from edgerelay.atproto.car import parse_car
from edgerelay.atproto.commit import announced_commit
from edgerelay.atproto.fast_commit import read_common_commit
from edgerelay.atproto.frames import Frame, decode_frame
from edgerelay.atproto.identity import Identity, parse_document
from edgerelay.atproto.inversion import check_inversion
from edgerelay.atproto.keys import Curve
from edgerelay.atproto.messages import Commit, Message, parse_message
from edgerelay.atproto.signatures import SignatureCheck
from edgerelay.config import Settings
from edgerelay.relay.accounts import MemoryAccounts
from edgerelay.relay.events import TimePassed
from edgerelay.relay.host import Host
from edgerelay.relay.intake import Candidate
from edgerelay.relay.ledger import Ledger
from edgerelay.relay.restored import Restored
from edgerelay.relay.verify import Claim
from edgerelay.relay.vetting import BATCH, SignaturesChecked
from edgerelay.runtime.interpreter import Ports
from edgerelay.runtime.memory import (
    ManualTimer,
    MemoryDirectory,
    MemoryLog,
    MemoryObjects,
    MemoryQueue,
    MemoryShards,
    MemorySignatures,
    MemoryUpstream,
)
from edgerelay.runtime.node import Node
from edgerelay.runtime.sql import Sqlite
from tests.signing import verdicts

HANDFUL = 200
"""Frames of one turn: 1 MB, which is when the upstream hands them over."""


def now_us() -> int:
    return time.time_ns() // 1_000


class Commits:
    """The commits of a recording, taken apart once, so that each stage can be timed by itself."""

    def __init__(self, frames: Sequence[bytes], identities: dict[str, Identity]) -> None:
        self.raw: list[bytes] = []
        self.frames: list[Frame] = []
        self.messages: list[Commit] = []
        for raw in frames:
            frame, message = decode(raw)
            if isinstance(message, Commit):
                self.raw.append(raw)
                self.frames.append(frame)
                self.messages.append(message)
        self.cars = [parse_car(message.blocks) for message in self.messages]
        pairs = list(zip(self.cars, self.messages, strict=True))
        self.announced = [(car, message.did, message.rev, message.commit) for car, message in pairs]
        commits = [announced_commit(*each) for each in self.announced]
        self.inversions = [
            (car.blocks, commit.data, message.ops, message.prev_data)
            for (car, message), commit in zip(pairs, commits, strict=True)
            if message.prev_data is not None
        ]
        self.claims = [
            Claim(car.root, c.data, c.signed_bytes, c.signature) for (car, _), c in zip(pairs, commits, strict=True)
        ]
        self.checks: dict[Curve, list[SignatureCheck]] = {curve: [] for curve in Curve}
        for message, claim in zip(self.messages, self.claims, strict=True):
            key = identities[message.did].signing_key
            assert key is not None
            self.checks[key.curve].append(SignatureCheck(key, claim.signed_bytes, claim.signature))


def decode(raw: bytes) -> tuple[Frame, Message]:
    frame = decode_frame(raw)
    assert isinstance(frame, Frame)
    return frame, parse_message(frame.kind, frame.body)


def signatures_us(checks: Sequence[SignatureCheck], rounds: int) -> float:
    batches = [checks[start : start + BATCH] for start in range(0, len(checks), BATCH)]
    assert all(all(verdicts(batch)) for batch in batches)
    return best_us(verdicts, batches, rounds, cpu_s) * len(batches) / len(checks)


def ledger_us(commits: Commits, rounds: int) -> float:
    """Accounts, numbers and batches; the events come anew in each round, to a relay that never saw them."""
    best = float("inf")
    for _ in range(rounds):
        ledger, host = Ledger(MemoryAccounts(), 0, 1), a_host()
        candidates = []
        for frame, message, claim in zip(commits.frames, commits.messages, commits.claims, strict=True):
            candidate = Candidate(host.position, frame, message)
            candidate.claim, candidate.verdict = claim, True
            candidates.append(candidate)
        started = cpu_s()
        for index, candidate in enumerate(candidates):
            assert ledger.settle(candidate, host, now_us()) is None
            if index % HANDFUL == 0:
                ledger.close([])
        best = min(best, cpu_s() - started)
    return best / len(commits.frames) * 1e6


def a_host() -> Host:
    restored = Restored(1, (), 0, 1, ())
    return Host.of(Settings(upstream="wss://host.example"), restored, lambda did, rev: True, lambda: 0.5, now_us())


class Relay:
    """A whole RelayState; its host, its directory and its only shard are played here."""

    def __init__(self, upstream: str, identities: dict[str, Identity]) -> None:
        self._identities = identities
        self._upstream = MemoryUpstream(self._deliver)
        self._shards = MemoryShards(self._deliver)
        self._signatures = MemorySignatures(self._deliver)
        self._directory = MemoryDirectory(self._deliver)
        ports = Ports(
            upstream=self._upstream,
            shards=self._shards,
            signatures=self._signatures,
            identities=self._directory,
            objects=MemoryObjects(),
            queue=MemoryQueue(),
            codec=ZlibCodec(),
            timer=ManualTimer(now_us, lambda: None),
            lookup_timer=ManualTimer(now_us, lambda: None),
            log=MemoryLog(),
            clock=now_us,
            random=lambda: 0.5,
        )
        settings = Settings(upstream=upstream, upstream_start="oldest", upstream_kind="pds")
        self.node = Node(settings, Sqlite(":memory:"), ports)
        asyncio.run(self.node.recover(lambda: asyncio.sleep(0)))
        self.node.turn(TimePassed())
        self._upstream.accept(kind="pds")

    def take(self, frames: Sequence[bytes]) -> None:
        """Frames arrive, and everything that is asked about them is answered."""
        self._upstream.send(*frames)
        while self._directory.inquiries or self._signatures.batches:
            self._directory.answer(self._identities.__getitem__)
            batches, self._signatures.batches = self._signatures.batches, []
            for batch in batches:
                self._deliver(SignaturesChecked(batch, verdicts(batch.checks)))

    def _deliver(self, event: Any) -> None:
        self.node.turn(event)


def relay_us(frames: Sequence[bytes], upstream: str, identities: dict[str, Identity], rounds: int) -> float:
    """A whole relay, anew in each round; each handful counts with the best of its rounds."""
    handfuls = [frames[start : start + HANDFUL] for start in range(0, len(frames), HANDFUL)]
    best = [float("inf")] * len(handfuls)
    for _ in range(rounds):
        relay = Relay(upstream, identities)
        for index, handful in enumerate(handfuls):
            started = cpu_s()
            relay.take(handful)
            best[index] = min(best[index], cpu_s() - started)
        relay.node.turn(TimePassed())
        passed = relay.node.relay.ledger.counts.events + len(relay.node.relay.ledger)
        assert passed == len(frames), f"{len(frames)} events became {passed}"
    return sum(best) / len(frames) * 1e6


def main(recording: str, frames: str = "1500", rounds: str = "5") -> None:
    raw = list(islice(read_frames(Path(recording)), int(frames)))
    documents: dict[str, Any] = json.loads(Path(f"{recording}.plc.json").read_text())
    identities = {did: parse_document(did, json.dumps(each).encode()) for did, each in documents.items()}
    upstream = next(iter(identities.values())).pds
    assert upstream is not None
    commits, turns = Commits(raw, identities), int(rounds)
    stages = {
        "frame, message": best_us(lambda raw: read_common_commit(raw) or decode(raw), commits.raw, turns),
        "CAR, block hashes": best_us(lambda message: parse_car(message.blocks), commits.messages, turns),
        "commit object, signed bytes": best_us(lambda item: announced_commit(*item), commits.announced, turns),
        "tree, inversion": best_us(lambda item: check_inversion(*item), commits.inversions, turns),
        "signature, K-256": signatures_us(commits.checks[Curve.K256], turns),
        "signature, P-256": signatures_us(commits.checks[Curve.P256], turns),
        "account, number, batch": ledger_us(commits, turns),
        "a whole relay without sockets": relay_us(raw, upstream.replace("http", "ws", 1), identities, turns),
    }
    counts = {"commits": len(commits.frames), "k256": len(commits.checks[Curve.K256])}
    print(json.dumps({"python": sys.version.split()[0], "platform": sys.platform, **counts, "stages": stages}))


if __name__ == "__main__":
    main(*sys.argv[1:])
