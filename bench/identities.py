"""Measure the store of identities: rows written, bytes, memory, latency and pauses.

    python bench/identities.py [--accounts 200000 2000000] [--checkpoint-s 60] [--hosts 3000]

Plays three days. On the first each account is looked up once, at an even pace; on the second each is again, in another
order, as its day is over; on the third none of them comes back and as many others do, which shows what is left of those
that nobody asks for any more. A checkpoint is made every minute or when it is due, with all merges that follow.

Rows are counted as Durable Objects bill them (`edgerelay.runtime.sql`). Times are those of this interpreter with
sqlite3 in the same process.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

from accounts import Stopwatch

from edgerelay.atproto.keys import Curve, PublicKey
from edgerelay.relay.accounts import hash_did
from edgerelay.relay.identities import KnownIdentity
from edgerelay.runtime.identity_runs import SCHEMA, IdentityRuns
from edgerelay.runtime.sql import Sqlite

DAY_US = 24 * 3_600 * 1_000_000
READS = 10_000


class Bench:
    """One store that sees so many identities a day."""

    def __init__(self, sql: Sqlite, checkpoint_s: int, hosts: int) -> None:
        for statement in SCHEMA:
            sql.execute(statement)
        self.sql = sql
        self.store = IdentityRuns(sql)
        self.origins = [f"https://pds{number}.example.com" for number in range(hosts)]
        self.source = random.Random(1)
        self.checkpoint_us = checkpoint_s * 1_000_000
        self.now_us = 1_795_000_000_000_000
        self.checkpointed_us = self.now_us

    def identity(self) -> KnownIdentity:
        # A few hosts have most of the accounts.
        pds = self.origins[int(len(self.origins) * self.source.random() ** 4)]
        return KnownIdentity(PublicKey(Curve.K256, b"\x02" + self.source.randbytes(32)), pds, self.now_us)

    def day(self, title: str, hashes: Sequence[bytes]) -> None:
        puts, checkpoints, merge_steps = Stopwatch(), Stopwatch(), Stopwatch()
        rows_before, began_us, runs, records = self.sql.rows_written, self.now_us, [0], [0]
        for number, did_hash in enumerate(hashes, 1):
            self.now_us = began_us + DAY_US * number // len(hashes)
            identity = self.identity()
            puts.measure(lambda did_hash=did_hash, identity=identity: self.store.put(did_hash, identity))  # type: ignore[misc]
            if self.store.checkpoint_due or self.now_us - self.checkpointed_us >= self.checkpoint_us:
                self.checkpointed_us = self.now_us
                checkpoints.measure(lambda: self.store.checkpoint(self.now_us))
                runs.append(self.store.stats.runs)
                records.append(self.store.stats.records)
                while merge_steps.measure(self.store.merge_step):
                    pass
        rows = self.sql.rows_written - rows_before
        ((stored,),) = self.sql.execute("SELECT sum(length(head) + length(blocks)) FROM identity_pages")
        print(f"  {title}")
        print(f"    {rows / len(hashes):.3f} rows written per identity, {rows / 86_400:.2f} a second")
        print(
            f"    {stored / len(hashes):.0f} bytes stored per identity, most records {max(records) / len(hashes):.2f}"
        )
        print(f"    {self.store.stats.pages} pages in {self.store.stats.runs} runs; at most {max(runs)} runs")
        print(f"    put: {puts}\n    checkpoint: {checkpoints}\n    merge step: {merge_steps}")

    def latency(self, hashes: Sequence[bytes]) -> None:
        store, heads, cold, warm, unknown = IdentityRuns(self.sql), Stopwatch(), Stopwatch(), Stopwatch(), Stopwatch()
        for did_hash in self.source.sample(hashes, READS):
            heads.measure(lambda did_hash=did_hash: store.get(did_hash))  # type: ignore[misc]
        for did_hash in self.source.sample(hashes, READS):
            cold.measure(lambda did_hash=did_hash: store.get(did_hash))  # type: ignore[misc]
            warm.measure(lambda did_hash=did_hash: store.get(did_hash))  # type: ignore[misc]
            unknown.measure(lambda: store.get(self.source.randbytes(16)))
        print(f"  get, the first {READS} after a start: {heads}\n  get, cold:    {cold}")
        print(f"  get, warm:    {warm}\n  get, unknown: {unknown}")

    def memory(self, hashes: Sequence[bytes]) -> None:
        sampled = [(did_hash, self.identity()) for did_hash in self.source.sample(hashes, min(len(hashes), 50_000))]
        tracemalloc.start()
        store = IdentityRuns(self.sql)
        opened, _ = tracemalloc.get_traced_memory()
        for did_hash, identity in sampled:
            store.get(did_hash)
            if not store.checkpoint_due:
                store.put(did_hash, identity)
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(
            f"  memory: {opened / 1e6:.2f} MB when opened, {used / 1e6:.1f} MB with every cache and the memtable full"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the store of identities")
    parser.add_argument("--accounts", type=int, nargs="+", default=[200_000, 2_000_000])
    parser.add_argument("--checkpoint-s", type=int, default=60)
    parser.add_argument("--hosts", type=int, default=3_000)
    options = parser.parse_args()
    print(f"Python {sys.version.split()[0]} on {sys.platform}, {options.hosts} hosts")
    for accounts in options.accounts:
        print(f"{accounts} accounts a day")
        with tempfile.TemporaryDirectory() as folder:
            sql = Sqlite(Path(folder) / "identities.sqlite")
            bench = Bench(sql, options.checkpoint_s, options.hosts)
            hashes = [hash_did(f"did:plc:{number:024}") for number in range(2 * accounts)]
            known, others = hashes[:accounts], hashes[accounts:]
            bench.day("looked up for the first time", known)
            bench.day("looked up again", random.Random(2).sample(known, accounts))
            bench.latency(known)
            bench.memory(known)
            bench.day("others instead", others)
            sql.close()


if __name__ == "__main__":
    main()
