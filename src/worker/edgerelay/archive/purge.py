"""Purging: the bytes of an account's events go, and their numbers stay.

A purged event of the firehose is a slot: its number and its kind, without an account, without paths, and with a frame
of no bytes, which nobody is sent. So whoever reads on finds every range as it was. Of Jetstream the lines are gone, and
the references to blobs with them. `#account` events stay: they say that the account is taken down.

What is rewritten is a generation newer. Which objects and blocks are to be looked at their DID filters say; who reads
and stores them is `runtime.purger`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Final

from edgerelay.archive.batch import KINDS, Batch, BatchBuilder, BatchHead
from edgerelay.archive.blob_block import purge_references
from edgerelay.archive.block import BlockFacts, Codecs, SealedBlock, collections_of, seal
from edgerelay.archive.container import encode_end, encode_start
from edgerelay.archive.container_index import ContainerIndex, PlacedBlock, Stream
from edgerelay.archive.did_filter import DidFilter
from edgerelay.archive.firehose_block import open_batch, seal_batch
from edgerelay.archive.jetstream_block import open_lines
from edgerelay.archive.joining import Joined

__all__ = ["purge_batch", "purge_block", "purged_container"]

_ACCOUNT: Final = "#account"


def purge_batch(batch: Batch, did: str) -> Batch | None:
    """The batch with slots in place of an account's events; None if it has none."""
    head = batch.head
    gone = _indexes_of(head, did)
    if not gone:
        return None
    builder = BatchBuilder(head.prev_seq)
    for index, (seq, frame) in enumerate(batch.split()):
        if index in gone:
            builder.add(seq, head.kinds[index], "", (), b"")
        else:
            builder.add(seq, head.kinds[index], head.dids[index], head.paths[index], frame)
    return builder.build(head.positions, head.accounts)


def purge_block(block: SealedBlock, stream: Stream, did: str, codecs: Codecs) -> SealedBlock | None:
    """The block without an account's events, packed by the codec that packed it; None if it has none.

    Raises:
        BlockError: the block is damaged.
    """
    return _PURGES[stream](block, did, codecs)


def purged_container(index: ContainerIndex, blocks: Iterable[BlockFacts]) -> Joined:
    """The container of the next generation: these are its blocks now, as many as before."""
    generation = index.generation + 1
    start = encode_start(index.header._replace(generation=generation))
    placed: list[PlacedBlock] = []
    offset = len(start)
    for facts in blocks:
        placed.append(PlacedBlock(offset, facts))
        offset += facts.packed_bytes
    purged = ContainerIndex.of(index.stream, generation, placed)
    return Joined(purged, start, encode_end(purged))


def _purge_frames(block: SealedBlock, did: str, codecs: Codecs) -> SealedBlock | None:
    batch = purge_batch(open_batch(block, codecs), did)
    return None if batch is None else seal_batch(batch, codecs[block.facts.codec], block.facts.generation + 1)


def _purge_lines(block: SealedBlock, did: str, codecs: Codecs) -> SealedBlock | None:
    facts = block.facts
    head, _, lines, *_ = open_lines(block, codecs)
    gone = _indexes_of(head, did)
    if not gone:
        return None
    kept = [index for index, line in enumerate(lines) if line and index not in gone]
    kinds = [head.kinds[index] for index in kept]
    contents = facts.contents._replace(
        counts=tuple([kinds.count(kind) for kind in KINDS]),
        collections=collections_of(chain.from_iterable([head.paths[index] for index in kept])),
        did_filter=DidFilter.of(head.dids[index] for index in kept),
    )
    return seal(b"".join([lines[index] + b"\n" for index in kept]), contents, codecs[facts.codec], facts.generation + 1)


_PURGES: Final[Mapping[Stream, Callable[[SealedBlock, str, Codecs], SealedBlock | None]]] = {
    Stream.FIREHOSE: _purge_frames,
    Stream.JETSTREAM: _purge_lines,
    Stream.BLOBS: purge_references,
}


def _indexes_of(head: BatchHead, did: str) -> set[int]:
    return {index for index, owner in enumerate(head.dids) if owner == did and head.kinds[index] != _ACCOUNT}
