"""The durable store of identities: records of 64 bytes in sorted runs, little-endian:

    16  key          `hash_did` of the DID
     4  resolved     unix seconds; 0 is a tombstone: the identity was forgotten
     8  origin       number of the host's origin; 0 for none
     1  curve        0 for no key, 1 K-256, 2 P-256
    33  point
     2  zero

How records are kept is `record_runs`'s, and the texts of origins are in `origins`. This module owns the record, what
identities may take of memory and storage, and which are worth keeping: when all runs become one, tombstones and
identities that are no longer fresh go, and if there are still too many, the oldest.

Measured, with the reasons for each bound, in bench/identities.py.
"""

from __future__ import annotations

from heapq import nlargest
from struct import Struct
from typing import Final

from edgerelay.archive.record_merge import Sieve
from edgerelay.archive.record_run import KEY_BYTES, PAGE_RECORDS
from edgerelay.atproto.keys import Curve, PublicKey
from edgerelay.errors import InvariantError
from edgerelay.relay.identities import IDENTITY_TTL_US, KnownIdentity
from edgerelay.runtime.origins import MAX_ORIGIN_CHARS, Origins
from edgerelay.runtime.origins import SCHEMA as ORIGIN_TABLE
from edgerelay.runtime.record_runs import RecordBounds, RecordRuns, RecordRunsStats, record_tables
from edgerelay.runtime.sql import Sql

__all__ = [
    "HEADS_BYTES",
    "MAX_IDENTITIES",
    "MEMTABLE_IDENTITIES",
    "MEMTABLE_MAX_IDENTITIES",
    "RECENT_IDENTITIES",
    "SCHEMA",
    "IdentityRecordError",
    "IdentityRuns",
]

_STORE: Final = "identity"

SCHEMA: Final = (*record_tables(_STORE), *ORIGIN_TABLE)
"""The statements that create the store's tables; whoever owns the schema of the database runs them."""

MEMTABLE_IDENTITIES: Final = 8_192
"""Identities in the memtable at which a checkpoint is due: 1.1 MB in WebAssembly, and a pause of 15 ms to write them.

Of two million accounts that are each looked up once a day a minute brings 1,400; this many come only while a relay gets
to know its accounts."""

MEMTABLE_MAX_IDENTITIES: Final = 4 * MEMTABLE_IDENTITIES
"""Identities in the memtable at which the store stops: nobody calls `checkpoint`, or none succeeds."""

RECENT_IDENTITIES: Final = 8_192
"""Identities in each of the two generations of recently used ones: 1 MB each in WebAssembly."""

HEADS_BYTES: Final = 4_000_000
"""Bytes of page heads kept in memory: those of two million records, of which one for sure. Others are read again."""

MAX_IDENTITIES: Final = 4_000_000
"""Identities that stay when all runs become one; until the next time half as many again are added.

That is 400 MB of records in at most 660 MB of rows, a sixth of what a hot log of the default size takes."""

_POINT_BYTES: Final = 33
_RECORD: Final = Struct(f"<{KEY_BYTES}sIQB{_POINT_BYTES}s2x")
_RESOLVED_AT: Final = slice(KEY_BYTES, KEY_BYTES + 4)
_CURVES: Final = (None, Curve.K256, Curve.P256)
_NO_POINT: Final = bytes(_POINT_BYTES)
_NO_ORIGIN: Final = 0
_SECOND_US: Final = 1_000_000
_MAX_RESOLVED_US: Final = 2**32 * _SECOND_US - 1


class IdentityRecordError(InvariantError):
    """An identity that cannot be stored, or a stored one with fields that this code does not write."""


class IdentityRuns:
    """`IdentityStore` over an `Sql` database that has the tables of `SCHEMA`; the only user of both."""

    def __init__(
        self,
        sql: Sql,
        *,
        page_records: int = PAGE_RECORDS,
        recent_identities: int = RECENT_IDENTITIES,
        max_identities: int = MAX_IDENTITIES,
    ) -> None:
        bounds = RecordBounds(MEMTABLE_MAX_IDENTITIES, recent_identities, HEADS_BYTES)
        self._max_identities = max_identities
        self._origins = Origins(sql)
        self._records = RecordRuns(
            sql, _STORE, _RECORD.size, bounds, page_records=page_records, sieve_of=self._sieve_of
        )

    @property
    def checkpoint_due(self) -> bool:
        return self._records.waiting >= MEMTABLE_IDENTITIES

    @property
    def stats(self) -> RecordRunsStats:
        """Sizes, for metrics."""
        return self._records.stats

    def get(self, did_hash: bytes) -> KnownIdentity | None:
        record = self._records.get(did_hash)
        if record is None:
            return None
        _, resolved_s, number, curve_code, point = _RECORD.unpack(record)
        pds = self._origins.origin_of(number) if number != _NO_ORIGIN else None
        if not resolved_s or (pds is None and number != _NO_ORIGIN):
            return None
        if curve_code >= len(_CURVES):
            raise IdentityRecordError(f"an identity with a key on curve {curve_code}")
        curve = _CURVES[curve_code]
        return KnownIdentity(PublicKey(curve, point) if curve else None, pds, resolved_s * _SECOND_US)

    def put(self, did_hash: bytes, identity: KnownIdentity) -> None:
        """Add or replace an identity. One whose origin is longer than any host's is not kept.

        Raises:
            SqlError: the origin is new, and the storage refused it; what was known before is still known.
        """
        key, pds, resolved_us = identity
        if not _SECOND_US <= resolved_us <= _MAX_RESOLVED_US:
            raise IdentityRecordError(f"an identity that was resolved at {resolved_us}")
        if key is not None and len(key.point) != _POINT_BYTES:
            raise IdentityRecordError(f"an identity with a point of {len(key.point)} bytes")
        if pds is not None and len(pds) > MAX_ORIGIN_CHARS:
            self.forget(did_hash)
            return
        number = _NO_ORIGIN if pds is None else self._origins.number_of(pds)
        curve, point = (None, _NO_POINT) if key is None else key
        self._put(did_hash, resolved_us // _SECOND_US, number, _CURVES.index(curve), point)

    def forget(self, did_hash: bytes) -> None:
        self._put(did_hash, 0, _NO_ORIGIN, 0, _NO_POINT)

    def checkpoint(self, now_us: int) -> None:
        self._records.checkpoint(now_us)

    def merge_step(self) -> bool:
        return self._records.merge_step()

    def _put(self, did_hash: bytes, resolved_s: int, origin: int, curve_code: int, point: bytes) -> None:
        if len(did_hash) != KEY_BYTES:
            raise IdentityRecordError("an identity with a hash of the wrong length")
        self._records.put(_RECORD.pack(did_hash, resolved_s, origin, curve_code, point))

    def _sieve_of(self, records: int) -> Sieve:
        return _Sieve(self._records.mark // _SECOND_US, min(records, self._max_identities), records)


class _Sieve:
    """Lets the fresh ones pass, and no more than `most` of `total`: of each part of the keys the same share.

    Keys are uniform, so what is the youngest in a part is about as young as what is the youngest of all.
    """

    def __init__(self, now_s: int, most: int, total: int) -> None:
        ttl_s = IDENTITY_TTL_US // _SECOND_US
        self._oldest_s, self._newest_s = now_s - ttl_s, now_s + ttl_s
        self._most, self._total = most, total
        self._seen = self._kept = 0

    def __call__(self, records: list[bytes]) -> list[bytes]:
        self._seen += len(records)
        kept = [record for record in records if self._oldest_s <= _resolved_s(record) <= self._newest_s]
        room = self._seen * self._most // self._total - self._kept
        if len(kept) > room:
            kept = sorted(nlargest(room, kept, key=_resolved_s))
        self._kept += len(kept)
        return kept


def _resolved_s(record: bytes) -> int:
    return int.from_bytes(record[_RESOLVED_AT], "little")
