"""Record runs: the bytes of sorted runs of fixed-size records.

A *record* begins with its 16-byte key. All records of a store have one length, and what else stands in them is its
owner's business: an account takes 96 bytes, an identity 64. A *run* is a set of records in key order, at most one per
key, cut into *pages*. A page is stored in two parts: its *blocks*, each small enough to be read for one record, and its
*head*, which says which block may hold a key, and says "certainly none" for most keys that the page does not hold. The
*manifest* lists the runs that count, newest first: a key's record is the one in the newest run that has it.

Heads, blocks and the manifest are sealed alike, little-endian:

    4  kind and version     "ERH1", "ERB1", "ERM1"
    4  run id
    4  index                of the page; for a block 11 times that and its own; 0 for the manifest, as is the run id
    …  body
    4  Adler-32 of all before

    head      the first key of each block, then the filter: words of 4 bytes
    block     the records, in key order: BLOCK_RECORDS, fewer in the last one of a page
    manifest  8 mark, 4 next run id, 4 number of runs, and for each run, newest first:
              4 run id, 4 number of pages, and for each page: 4 slot, 4 number of records, 16 first key

The seal names the place that the bytes were written for, so what is found elsewhere is refused like what is damaged.
Adler-32 because everything is checked whenever it is read, and in WebAssembly CRC-32 takes several times as long.

This module is pure. It does not know where rows are stored, nor when runs are written; how they merge says
`record_merge`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from struct import Struct, iter_unpack, pack
from struct import error as StructError
from typing import Final, NamedTuple
from zlib import adler32

from edgerelay.errors import InvariantError

__all__ = [
    "BLOCK_RECORDS",
    "FILTER_BITS_PER_RECORD",
    "KEY_BYTES",
    "PAGE_RECORDS",
    "Manifest",
    "Page",
    "PageHead",
    "RecordRunError",
    "Run",
]

KEY_BYTES: Final = 16
"""Bytes of a key: half a SHA-256, so that keys are uniform and do not collide."""

BLOCK_RECORDS: Final = 128
"""Records of a block, 12 KB of accounts: a cold `get` takes 0.07 ms on workerd; with a page of 128 KB it took 0.26."""

_PAGE_BLOCKS: Final = 11

PAGE_RECORDS: Final = _PAGE_BLOCKS * BLOCK_RECORDS
"""Records of a full page: 135 KB of accounts in one row. Twice as large: half the rows, but reads slower by a third."""

FILTER_BITS_PER_RECORD: Final = 16
"""Bits of filter per record: a key that is not in a page passes its filter about once in 120 tries."""

_SEAL: Final = Struct("<4sII")
_CHECKSUM: Final = Struct("<I")
_SEALED_BYTES: Final = _SEAL.size + _CHECKSUM.size

# The filter takes its bits from the second half of the key: the first half is nearly the same all over a page.
_KEY_WORDS: Final = Struct("<8xII")
_FILTER_WORD_BYTES: Final = 4
# Two bits of a 32-bit word for each value of ten bits: a key sets two such pairs in one word.
_PAIRS: Final = tuple(1 << (value & 31) | 1 << (value >> 5) for value in range(1_024))

_MANIFEST: Final = Struct("<QII")
_RUN: Final = Struct("<II")
_PAGE_ENTRY: Final = Struct(f"<II{KEY_BYTES}s")


class RecordRunError(InvariantError):
    """A stored row of a run of records is damaged, cut short, or not the row that was asked for."""


class _Kind(Enum):
    HEAD = b"ERH1"
    BLOCK = b"ERB1"
    MANIFEST = b"ERM1"


def _seal(kind: _Kind, run_id: int, index: int, body: bytes) -> bytes:
    row = _SEAL.pack(kind.value, run_id, index) + body
    return row + _CHECKSUM.pack(adler32(row))


def _check_seal(kind: _Kind, run_id: int, index: int, row: bytes) -> None:
    def refuse(what: str) -> RecordRunError:
        return RecordRunError(f"{kind.name.lower()} {index} of run {run_id}: {what}")

    if len(row) < _SEALED_BYTES:
        raise refuse(f"only {len(row)} bytes")
    checksum_at = len(row) - _CHECKSUM.size
    if _CHECKSUM.unpack_from(row, checksum_at)[0] != adler32(memoryview(row)[:checksum_at]):
        raise refuse("the checksum does not match")
    found_kind, found_run, found_index = _SEAL.unpack_from(row)
    if found_kind != kind.value:
        raise refuse(f"found a {found_kind!r}")
    if (found_run, found_index) != (run_id, index):
        raise refuse(f"found number {found_index} of run {found_run}")


def _search(row: bytes, stride: int, count: int, key: bytes) -> int:
    """Return the index of the last of `count` sorted entries that begins with `key` or less, or -1."""
    low, high = 0, count
    while low < high:
        middle = (low + high) >> 1
        at = _SEAL.size + middle * stride
        if row[at : at + KEY_BYTES] <= key:
            low = middle + 1
        else:
            high = middle
    return low - 1


@dataclass(frozen=True, slots=True)
class Page:
    """The place of one page, the number of its records and their length: what is needed to read the page's bytes."""

    run_id: int
    index: int
    count: int
    record_bytes: int

    @property
    def block_count(self) -> int:
        """How many blocks the page has."""
        return -(-self.count // BLOCK_RECORDS)

    def span(self, block: int) -> tuple[int, int]:
        """Return where in the page's blocks this one begins, and its length."""
        records = min(BLOCK_RECORDS, self.count - block * BLOCK_RECORDS)
        return (
            block * (_SEALED_BYTES + BLOCK_RECORDS * self.record_bytes),
            _SEALED_BYTES + records * self.record_bytes,
        )

    def encode(self, records: Sequence[bytes]) -> tuple[bytes, bytes]:
        """Return the head and the blocks of the page that holds `records`, in key order."""
        blocks = [records[start : start + BLOCK_RECORDS] for start in range(0, len(records), BLOCK_RECORDS)]
        first_keys = b"".join(block[0][:KEY_BYTES] for block in blocks)
        head = _seal(_Kind.HEAD, self.run_id, self.index, first_keys + self._filter(records))
        return head, b"".join(
            _seal(_Kind.BLOCK, self.run_id, self._number(at), b"".join(block)) for at, block in enumerate(blocks)
        )

    def decode_head(self, row: bytes) -> PageHead:
        """Check the head of the page."""
        _check_seal(_Kind.HEAD, self.run_id, self.index, row)
        expected = _SEALED_BYTES + self.block_count * KEY_BYTES + _filter_words(self.count) * _FILTER_WORD_BYTES
        if len(row) != expected:
            raise RecordRunError(f"head {self.index} of run {self.run_id}: {len(row)} bytes instead of {expected}")
        return PageHead(row, self.block_count)

    def find(self, key: bytes, block: int, row: bytes) -> bytes | None:
        """Return the record of `key`, given the block that may hold it."""
        self._check_block(block, row)
        length = self.record_bytes
        at = _SEAL.size + _search(row, length, (len(row) - _SEALED_BYTES) // length, key) * length
        return row[at : at + length] if row[at : at + KEY_BYTES] == key else None

    def records(self, blocks: bytes) -> list[bytes]:
        """Return all records, in key order, given all blocks."""
        expected = self.block_count * _SEALED_BYTES + self.count * self.record_bytes
        if len(blocks) != expected:
            raise RecordRunError(f"page {self.index} of run {self.run_id}: {len(blocks)} bytes instead of {expected}")
        records: list[bytes] = []
        one = Struct(f"{self.record_bytes}s")
        for block in range(self.block_count):
            start, length = self.span(block)
            row = blocks[start : start + length]
            self._check_block(block, row)
            records += [record for (record,) in one.iter_unpack(row[_SEAL.size : -_CHECKSUM.size])]
        return records

    def _check_block(self, block: int, row: bytes) -> None:
        number = self._number(block)
        _check_seal(_Kind.BLOCK, self.run_id, number, row)
        _, length = self.span(block)
        if len(row) != length:
            raise RecordRunError(f"block {number} of run {self.run_id}: {len(row)} bytes instead of {length}")

    def _number(self, block: int) -> int:
        return self.index * _PAGE_BLOCKS + block

    def _filter(self, records: Sequence[bytes]) -> bytes:
        count = _filter_words(self.count)
        words = [0] * count
        for which, bits in iter_unpack(f"<8xII{self.record_bytes - KEY_BYTES}x", b"".join(records)):
            words[which % count] |= _PAIRS[bits & 1_023] | _PAIRS[bits >> 10 & 1_023]
        return pack(f"<{count}I", *words)


class PageHead:
    """The head of one page: where its blocks begin, and a filter over all its keys.

    The filter is a Bloom filter that keeps the four bits of a key in one word of 32: one look decides.
    """

    __slots__ = ("_block_count", "_filter_at", "_row", "_words")

    def __init__(self, row: bytes, block_count: int) -> None:
        self._row = row
        self._block_count = block_count
        self._filter_at = _SEAL.size + block_count * KEY_BYTES
        self._words = (len(row) - _CHECKSUM.size - self._filter_at) // _FILTER_WORD_BYTES

    def may_contain(self, key: bytes) -> bool:
        """Say whether the page may hold `key`; False is certain."""
        which: int
        bits: int
        which, bits = _KEY_WORDS.unpack(key)
        at = self._filter_at + which % self._words * _FILTER_WORD_BYTES
        wanted = _PAIRS[bits & 1_023] | _PAIRS[bits >> 10 & 1_023]
        word = int.from_bytes(self._row[at : at + _FILTER_WORD_BYTES], "little")
        return word & wanted == wanted

    def block_of(self, key: bytes) -> int:
        """Return which block can hold `key`, which is not below the first key of the page."""
        return _search(self._row, KEY_BYTES, self._block_count, key)


def _filter_words(count: int) -> int:
    return -(-count * FILTER_BITS_PER_RECORD // 32)


class Run(NamedTuple):
    """The directory of one run: for each page its first key, its number of records and the slot that stores it."""

    run_id: int
    first_keys: tuple[bytes, ...]
    counts: tuple[int, ...]
    slots: tuple[int, ...]

    @property
    def records(self) -> int:
        """How many records the run holds."""
        return sum(self.counts)

    def page(self, index: int, record_bytes: int) -> Page:
        """Return what is needed to read a page."""
        return Page(self.run_id, index, self.counts[index], record_bytes)

    def page_of(self, key: bytes) -> int:
        """Return the index of the only page that can hold `key`, or -1 if `key` lies before the first."""
        return bisect_right(self.first_keys, key) - 1


class Manifest(NamedTuple):
    """Which runs count, and as of when. Replacing it is what makes a change take effect."""

    mark: int = 0
    """What the owner said with the last checkpoint: of accounts the seq up to which all changes are in the runs, of
    identities the time."""

    next_run_id: int = 1
    """Larger than the id of every run that was ever in a manifest."""

    runs: tuple[Run, ...] = ()
    """Newest first."""

    def encode(self) -> bytes:
        """Return the row of the manifest."""
        parts = [_MANIFEST.pack(self.mark, self.next_run_id, len(self.runs))]
        for run in self.runs:
            parts.append(_RUN.pack(run.run_id, len(run.slots)))
            parts += map(_PAGE_ENTRY.pack, run.slots, run.counts, run.first_keys)
        return _seal(_Kind.MANIFEST, 0, 0, b"".join(parts))

    @classmethod
    def decode(cls, row: bytes) -> Manifest:
        """Check the row of a manifest, and that what it lists can be."""
        _check_seal(_Kind.MANIFEST, 0, 0, row)
        body, at = memoryview(row)[_SEAL.size : -_CHECKSUM.size], _MANIFEST.size
        runs: list[Run] = []
        try:
            mark, next_run_id, run_count = _MANIFEST.unpack_from(body)
            for _ in range(run_count):
                run_id, page_count = _RUN.unpack_from(body, at)
                pages_at = at + _RUN.size
                at = pages_at + page_count * _PAGE_ENTRY.size
                slots, counts, first_keys = zip(*_PAGE_ENTRY.iter_unpack(body[pages_at:at]), strict=True)
                runs.append(Run(run_id, first_keys, counts, slots))
        except (ValueError, StructError) as error:
            raise RecordRunError("manifest: does not hold the runs that it announces") from error
        if at != len(body):
            raise RecordRunError(f"manifest: {len(body)} bytes, its runs take {at}")
        manifest = cls(mark, next_run_id, tuple(runs))
        manifest._check()
        return manifest

    def _check(self) -> None:
        slots = [slot for run in self.runs for slot in run.slots]
        if len(set(slots)) != len(slots):
            raise RecordRunError("manifest: two pages in one slot")
        run_ids = {run.run_id for run in self.runs}
        if len(run_ids) != len(self.runs) or any(run_id >= self.next_run_id for run_id in run_ids):
            raise RecordRunError("manifest: a run id is used twice or lies ahead")
        for run in self.runs:
            if list(run.first_keys) != sorted(set(run.first_keys)) or 0 in run.counts:
                raise RecordRunError(f"manifest: the pages of run {run.run_id} are not in order")
