"""Measure the account store: rows written, bytes, memory, latency and pauses.

    python bench/accounts.py [--accounts 200000 2000000] [--checkpoint-s 60] [--minutes 180]

Fills a store and then plays events at 420/s: each puts its account, and whenever a checkpoint is due it is made, with
all merges that follow. Twice: with all accounts equally active, which is the worst case for rows and caches, and with a
tenth of the accounts causing about half of the events. After each, some events more that get their account first.

Rows are counted as Durable Objects bill them (`edgerelay.runtime.sql`). Times are those of this interpreter with
sqlite3 in the same process; what a statement costs on workerd stands beside the bounds in `archive.record_run`.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from edgerelay.relay.accounts import Account, hash_did
from edgerelay.runtime.account_runs import SCHEMA, AccountRuns
from edgerelay.runtime.sql import Sqlite

EVENTS_PER_S = 420
READS = 50_000
DIGEST = bytes(range(32))

Pick = Callable[[random.Random, int], int]


def evenly(source: random.Random, accounts: int) -> int:
    return source.randrange(accounts)


def skewed(source: random.Random, accounts: int) -> int:
    return int(accounts * source.random() ** 3)


class Stopwatch:
    """Durations of one kind of call."""

    def __init__(self) -> None:
        self.durations_s: list[float] = []

    def measure(self, call: Callable[[], object]) -> object:
        started = time.perf_counter()
        answer = call()
        self.durations_s.append(time.perf_counter() - started)
        return answer

    def __str__(self) -> str:
        ordered = sorted(self.durations_s) or [0.0]
        middle, high = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
        return f"p50 {middle * 1e3:.3f} ms, p99 {high * 1e3:.3f} ms, max {ordered[-1] * 1e3:.1f} ms"


class Bench:
    """One store of so many accounts."""

    def __init__(self, sql: Sqlite, accounts: int, checkpoint_s: int) -> None:
        for statement in SCHEMA:
            sql.execute(statement)
        self.sql = sql
        self.store = AccountRuns(sql)
        self.hashes = [hash_did(f"did:plc:{number:024}") for number in range(accounts)]
        self.checkpoint_events = checkpoint_s * EVENTS_PER_S
        self.checkpoints = Stopwatch()
        self.merge_steps = Stopwatch()
        self.runs: list[int] = []
        self.seq = 0

    def put(self, account: Account) -> None:
        self.store.put(account)
        self.seq += 1
        if self.store.checkpoint_due or self.seq - self.store.checkpoint_seq >= self.checkpoint_events:
            self.checkpoints.measure(lambda: self.store.checkpoint(self.seq))
            self.runs.append(self.store.stats.runs)
            while self.merge_steps.measure(self.store.merge_step):
                pass

    def fill(self) -> None:
        for did_hash in self.hashes:
            self.put(Account(did_hash, 1, 1, DIGEST, DIGEST))

    def play(self, pick: Pick, minutes: int) -> None:
        source, events = random.Random(1), minutes * 60 * EVENTS_PER_S
        self.checkpoints, self.merge_steps, self.runs = Stopwatch(), Stopwatch(), []
        rows_before, started = self.sql.rows_written, time.perf_counter()
        for _ in range(events):
            self.put(Account(self.hashes[pick(source, len(self.hashes))], 1, self.seq, DIGEST, DIGEST))
        spent_s = time.perf_counter() - started
        rows = (self.sql.rows_written - rows_before) / events * 1_000
        upkeep_s = sum(self.checkpoints.durations_s) + sum(self.merge_steps.durations_s)
        interval_s, runs = events / EVENTS_PER_S / len(self.runs), sum(self.runs) / len(self.runs)
        print(f"  {pick.__name__}, {minutes} minutes: {rows:.2f} rows written per 1,000 events")
        print(f"    a checkpoint every {interval_s:.0f} s; {runs:.1f} runs, at most {max(self.runs)}")
        print(f"    put {spent_s / events * 1e6:.1f} us per event, of which upkeep {upkeep_s / events * 1e6:.1f} us")
        print(f"    checkpoint: {self.checkpoints}")
        print(f"    merge step: {self.merge_steps}")

    def read(self, pick: Pick) -> None:
        source, gets = random.Random(2), Stopwatch()
        for _ in range(READS):
            did_hash = self.hashes[pick(source, len(self.hashes))]
            account = gets.measure(lambda did_hash=did_hash: self.store.get(did_hash))  # type: ignore[misc]
            assert isinstance(account, Account)
            self.put(account)
        print(f"    get, then put: {sum(gets.durations_s) / READS * 1e6:.1f} us per get; {gets}")

    def sizes(self) -> None:
        ((stored,),) = self.sql.execute("SELECT sum(length(head) + length(blocks)) FROM account_pages")
        stats, accounts = self.store.stats, len(self.hashes)
        print(f"    {stored / accounts:.0f} bytes stored and {stats.records / accounts:.2f} records per account")
        print(f"    {stats.pages} pages in {stats.runs} runs")

    def latency(self) -> None:
        source = random.Random(3)
        recent, cold, unknown = Stopwatch(), Stopwatch(), Stopwatch()
        for did_hash in source.sample(self.hashes, READS // 5):
            cold.measure(lambda did_hash=did_hash: self.store.get(did_hash))  # type: ignore[misc]
            recent.measure(lambda did_hash=did_hash: self.store.get(did_hash))  # type: ignore[misc]
            unknown.measure(lambda: self.store.get(source.randbytes(16)))
        print(f"  get, read just before: {recent}\n  get, any account:      {cold}\n  get, unknown account:  {unknown}")

    def memory(self) -> None:
        source = random.Random(4)
        tracemalloc.start()
        store = AccountRuns(self.sql)
        opened, _ = tracemalloc.get_traced_memory()
        for did_hash in source.sample(self.hashes, READS):
            account = store.get(did_hash)
            assert account is not None
            if not store.checkpoint_due:
                store.put(account)
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(
            f"  memory: {opened / 1e6:.2f} MB when opened, {used / 1e6:.1f} MB with every cache and the memtable full"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the account store")
    parser.add_argument("--accounts", type=int, nargs="+", default=[200_000, 2_000_000])
    parser.add_argument("--checkpoint-s", type=int, default=60)
    parser.add_argument("--minutes", type=int, default=180)
    options = parser.parse_args()
    print(f"Python {sys.version.split()[0]} on {sys.platform}, {EVENTS_PER_S} events/s")
    for accounts in options.accounts:
        print(f"{accounts} accounts")
        with tempfile.TemporaryDirectory() as folder:
            sql = Sqlite(Path(folder) / "accounts.sqlite")
            bench = Bench(sql, accounts, options.checkpoint_s)
            bench.fill()
            for pick in (evenly, skewed):
                bench.play(pick, options.minutes)
                bench.sizes()
                bench.read(pick)
            bench.latency()
            bench.memory()
            sql.close()


if __name__ == "__main__":
    main()
