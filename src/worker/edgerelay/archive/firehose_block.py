"""Blocks of the firehose: the raw bytes are one batch, as `batch` writes it, without records of accounts.

Knows what a batch means and which facts follow from it; how bytes are packed is `block`'s.
"""

from __future__ import annotations

from itertools import chain

from edgerelay.archive.batch import KINDS, Batch, BatchError, BatchHead, decode_message
from edgerelay.archive.block import (
    BlockError,
    Codecs,
    Contents,
    SealedBlock,
    UpstreamPosition,
    collections_of,
    seal,
    unseal,
)
from edgerelay.archive.codec import Codec
from edgerelay.archive.did_filter import DidFilter
from edgerelay.errors import InvariantError

__all__ = ["open_batch", "seal_batch"]


def seal_batch(batch: Batch, codec: Codec, generation: int = 0) -> SealedBlock:
    """Pack a batch. Raises `InvariantError` if it changes accounts, which are no part of what is kept."""
    head = batch.head
    if head.accounts:
        raise InvariantError(f"a block from {head.first_seq} on with {len(head.accounts)} bytes of accounts")
    positions = {host_id: UpstreamPosition(host_id, epoch, low) for host_id, epoch, low, *_ in head.positions}
    contents = Contents(
        head.prev_seq,
        head.first_seq,
        head.last_seq,
        _counts(head),
        collections_of(chain.from_iterable(head.paths)),
        DidFilter.of(filter(None, head.dids)),
        tuple(positions.values()),
    )
    return seal(batch.message(), contents, codec, generation)


def open_batch(block: SealedBlock, codecs: Codecs) -> Batch:
    """Unpack a batch.

    Raises:
        BlockError: the block is damaged, or holds another batch than its facts say.
    """
    contents = block.facts.contents
    raw = unseal(block, codecs)
    try:
        batch = decode_message(raw)
    except BatchError as error:
        raise BlockError(f"block {contents.first_seq} to {contents.last_seq}: {error}") from error
    head = batch.head
    found = (head.prev_seq, head.seqs[:1], head.seqs[-1:], _counts(head))
    if found != (contents.prev_seq, (contents.first_seq,), (contents.last_seq,), contents.counts):
        raise BlockError(f"block {contents.first_seq} to {contents.last_seq}: holds other events than its facts say")
    return batch


def _counts(head: BatchHead) -> tuple[int, ...]:
    return tuple([head.kinds.count(kind) for kind in KINDS])
