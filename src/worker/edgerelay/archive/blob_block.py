"""Blocks of references to blobs: the raw bytes are rows, as `blobs` writes them.

References are few beside the lines that they come from, so that a block takes those of many blocks of lines, and covers
the same numbers. Where those are not continuous, it ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from edgerelay.archive.blobs import BlobReference, BlobRowError, read_rows, write_row
from edgerelay.archive.block import BlockError, Codecs, Contents, SealedBlock, collections_of, seal, unseal
from edgerelay.archive.cid_filter import CidFilter
from edgerelay.archive.codec import Codec
from edgerelay.archive.did_filter import DidFilter
from edgerelay.atproto.cid import cid_from_text

__all__ = ["BLOCK_BYTES", "MAX_ROWS_BYTES", "BlobBlockWriter", "open_references", "purge_references"]

BLOCK_BYTES: Final = 262_144
"""Bytes of rows at which a block is full: a thousand or so; it may end a block of lines beyond."""

MAX_ROWS_BYTES: Final = 8_000_000
"""Bytes of rows in a block. A block of lines has 4 MB, or one event: 28,000 references in all that a frame can hold,
which take 7 MB. More comes only of the longest names that there can be, and is left out."""


class BlobBlockWriter:
    """Makes blocks of the references of blocks of lines, in their order."""

    def __init__(self, codec: Codec, block_bytes: int = BLOCK_BYTES, max_rows_bytes: int = MAX_ROWS_BYTES) -> None:
        self._codec = codec
        self._block_bytes = block_bytes
        self._max_rows_bytes = max_rows_bytes
        self._numbers: tuple[int, int, int] | None = None
        self._references: list[BlobReference] = []
        self._rows: list[bytes] = []
        self._rows_bytes = 0
        self.left_out = 0
        """References for which there was no room."""

    def add(self, lines: Contents, references: Sequence[BlobReference]) -> Iterator[SealedBlock]:
        """Take the references in a block of lines; yields a block before, if that is full or ends there."""
        if self._numbers is not None and (self._rows_bytes >= self._block_bytes or lines.prev_seq != self._numbers[-1]):
            yield from self.finish()
        prev_seq, first_seq, _ = self._numbers or (lines.prev_seq, lines.first_seq, 0)
        self._numbers = (prev_seq, first_seq, lines.last_seq)
        for reference in references:
            row = write_row(reference)
            if self._rows_bytes + len(row) > self._max_rows_bytes:
                self.left_out += 1
                continue
            self._references.append(reference)
            self._rows.append(row)
            self._rows_bytes += len(row)

    def finish(self) -> Iterator[SealedBlock]:
        """The block of what was taken and is in none yet, if anything was."""
        if self._numbers is not None:
            rows = b"".join(self._rows)
            yield _seal(self._numbers, self._references, rows, self._codec)
        self._numbers, self._references, self._rows, self._rows_bytes = None, [], [], 0


def open_references(block: SealedBlock, codecs: Codecs, did: str = "", cid: str = "") -> list[BlobReference]:
    """Unpack a block; of its references those of this account and blob, if they are named.

    Raises:
        BlockError: the block is damaged.
    """
    try:
        return read_rows(unseal(block, codecs), did, cid)
    except BlobRowError as error:
        contents = block.facts.contents
        raise BlockError(f"block {contents.first_seq} to {contents.last_seq}: {error}") from error


def purge_references(block: SealedBlock, did: str, codecs: Codecs) -> SealedBlock | None:
    """The block without the references of an account, a generation newer; None if it has none.

    Raises:
        BlockError: the block is damaged.
    """
    references = open_references(block, codecs)
    kept = [reference for reference in references if reference.did != did]
    if len(kept) == len(references):
        return None
    facts = block.facts
    numbers = (facts.contents.prev_seq, facts.contents.first_seq, facts.contents.last_seq)
    return _seal(numbers, kept, b"".join(map(write_row, kept)), codecs[facts.codec], facts.generation + 1)


def _seal(
    numbers: tuple[int, int, int], references: Sequence[BlobReference], rows: bytes, codec: Codec, generation: int = 0
) -> SealedBlock:
    contents = Contents(
        *numbers,
        (len(references),),
        collections_of(reference.path for reference in references),
        DidFilter.of(reference.did for reference in references),
        (),
        CidFilter.of(cid_from_text(reference.cid) for reference in references),
    )
    return seal(rows, contents, codec, generation)
