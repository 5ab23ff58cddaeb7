"""Purging: the bytes of an account's events go, and their numbers stay.

A purged event of the firehose is a slot: its number and its kind, without an account, without paths, and with a frame
of no bytes, which nobody is sent. So whoever reads on finds every range as it was. Of Jetstream the lines are gone.
`#account` events stay: they say that the account is taken down.

What is rewritten is a generation newer. Which objects and blocks are to be looked at their DID filters say; who reads
and stores them is `runtime.purger`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from edgerelay.archive.batch import KINDS, Batch, BatchBuilder
from edgerelay.archive.block import Codecs, SealedBlock, collections_of, seal, unseal
from edgerelay.archive.container_index import Stream
from edgerelay.archive.did_filter import DidFilter
from edgerelay.archive.firehose_block import open_batch, seal_batch

__all__ = ["purge_batch", "purge_block"]

_ACCOUNT: Final = "#account"
_KIND_CODES: Final = {kind.removeprefix("#"): code for code, kind in enumerate(KINDS)}

_Line = Mapping[str, object]


def purge_batch(batch: Batch, did: str) -> Batch | None:
    """The batch with slots in place of an account's events; None if it has none."""
    head = batch.head
    gone = {index for index, owner in enumerate(head.dids) if owner == did and head.kinds[index] != _ACCOUNT}
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


def _purge_frames(block: SealedBlock, did: str, codecs: Codecs) -> SealedBlock | None:
    batch = purge_batch(open_batch(block, codecs), did)
    return None if batch is None else seal_batch(batch, codecs[block.facts.codec], block.facts.generation + 1)


def _purge_lines(block: SealedBlock, did: str, codecs: Codecs) -> SealedBlock | None:
    facts = block.facts
    lines = [(line, json.loads(line)) for line in unseal(block, codecs).splitlines(keepends=True)]
    kept = [(line, fields) for line, fields in lines if not _is_gone(fields, did)]
    if len(kept) == len(lines):
        return None
    raw, left = b"".join([line for line, _ in kept]), [fields for _, fields in kept]
    contents = facts.contents._replace(
        counts=_counts(left),
        collections=collections_of(_collections(left)),
        did_filter=DidFilter.of(str(fields["did"]) for fields in left),
    )
    return seal(raw, contents, codecs[facts.codec], facts.generation + 1)


_PURGES: Final[Mapping[Stream, Callable[[SealedBlock, str, Codecs], SealedBlock | None]]] = {
    Stream.FIREHOSE: _purge_frames,
    Stream.JETSTREAM: _purge_lines,
}


def _is_gone(fields: _Line, did: str) -> bool:
    return fields["did"] == did and f"#{fields['kind']}" != _ACCOUNT


def _counts(lines: Iterable[_Line]) -> tuple[int, ...]:
    counts = [0] * len(KINDS)
    for fields in lines:
        counts[_KIND_CODES[str(fields["kind"])]] += 1
    return tuple(counts)


def _collections(lines: Iterable[_Line]) -> list[str]:
    commits = [fields["commit"] for fields in lines if "commit" in fields]
    return [str(commit["collection"]) for commit in commits if isinstance(commit, dict)]
