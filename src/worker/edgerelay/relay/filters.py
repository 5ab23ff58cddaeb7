"""What a reader wants to hear of: kinds of events, accounts, collections.

A filter looks at what the head of a batch says of each event, never into frames, and at the facts of a block that is
not even read. Its answer for one batch is the same for all readers with the same filter, so it is found once
(`BatchColumns`).

Kinds and accounts hold for all events; collections only for commits, which pass if one of their operations is in one of
them. Empty is everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache
from typing import Final, NamedTuple, TypeAlias

from edgerelay.archive.batch import KINDS, BatchHead
from edgerelay.archive.block import Contents
from edgerelay.archive.did_filter import hash_did

__all__ = ["COMMIT", "EVERYTHING", "MAX_COLLECTIONS", "MAX_DIDS", "BatchColumns", "Filter", "Pick", "Token"]

MAX_COLLECTIONS: Final = 100
"""Collections and prefixes of one reader, as in Jetstream."""

MAX_DIDS: Final = 10_000
"""Accounts of one reader, as in Jetstream."""

HASHED_FILTERS: Final = 8
"""Sets of accounts whose hashes are remembered: one of 10,000 takes 10 ms to hash, and is wanted for every read. With
its hashes it takes 2 MB, and stays when its readers have left."""

COMMIT: Final = "#commit"

Token: TypeAlias = str | tuple[str, str]
"""A kind, an account, a collection, or an account and a collection: no two of these look alike."""


class Filter(NamedTuple):
    """What passes. Immutable, and the key of everything that is remembered about it."""

    kinds: frozenset[str] = frozenset()
    """As in `batch.KINDS`."""

    dids: frozenset[str] = frozenset()
    collections: frozenset[str] = frozenset()
    """Names of collections."""

    prefixes: tuple[str, ...] = ()
    """Beginnings of names of collections."""

    @property
    def names_collections(self) -> bool:
        """Whether commits have to be in certain collections."""
        return bool(self.collections or self.prefixes)

    def has_collection(self, name: str) -> bool:
        """Whether this is one of the collections."""
        return name in self.collections or name.startswith(self.prefixes)

    def may_match(self) -> Callable[[Contents], bool] | None:
        """What tells of a block whether an event in it may pass; False is certain. None if everything passes."""
        if self == EVERYTHING:
            return None
        hashes = _hashes(self.dids)
        return lambda contents: self._may_match(contents, hashes)

    def _may_match(self, contents: Contents, hashes: frozenset[bytes]) -> bool:
        kinds = {kind for kind, count in zip(KINDS, contents.counts, strict=False) if count}
        wanted = kinds & self.kinds if self.kinds else kinds
        names = contents.collections
        if self.names_collections and names is not None and not any(map(self.has_collection, names)):
            wanted = wanted - {COMMIT}
        # A kind that this code does not know may be any.
        if not wanted and len(contents.counts) <= len(KINDS):
            return False
        return not hashes or contents.did_filter is None or contents.did_filter.may_contain_any(hashes)


EVERYTHING: Final = Filter()


@lru_cache(HASHED_FILTERS)
def _hashes(dids: frozenset[str]) -> frozenset[bytes]:
    return frozenset(map(hash_did, dids))


class Pick(NamedTuple):
    """An event of a batch that passes."""

    at: int
    """Its index in the batch."""

    operations: frozenset[int] | None = None
    """Indexes of the operations that pass, if not all of them do."""


class BatchColumns:
    """The events of one batch, as filters look at them."""

    def __init__(self, head: BatchHead) -> None:
        self.head = head
        self._picks: dict[Filter, tuple[Pick, ...]] = {}
        self._named: dict[Filter, frozenset[str]] = {}
        """Those of the batch's collections that a filter names: many filters have the same."""

    def knows(self, wanted: Filter) -> bool:
        """Whether it is known what passes."""
        return wanted in self._picks

    def picks(self, wanted: Filter) -> tuple[Pick, ...]:
        """The events that pass, in order."""
        picks = self._picks.get(wanted)
        if picks is None:
            picks = self._picks[wanted] = self._filter(wanted)
        return picks

    @cached_property
    def _by_did(self) -> dict[str, list[int]]:
        """The events of each account."""
        by_did: dict[str, list[int]] = {}
        for index, did in enumerate(self.head.dids):
            by_did.setdefault(did, []).append(index)
        return by_did

    @cached_property
    def _dids(self) -> frozenset[str]:
        return frozenset(self._by_did)

    @cached_property
    def tokens(self) -> frozenset[Token]:
        """What its events have, for `interests`."""
        head = self.head
        pairs = [(did, name) for did, names in zip(head.dids, self._collections, strict=True) for name in names]
        return self._dids.union(head.kinds, self._all_collections, pairs)

    @cached_property
    def _collections(self) -> tuple[tuple[str, ...], ...]:
        """The collection of each operation of each event."""
        return tuple([tuple([path.partition("/")[0] for path in paths]) for paths in self.head.paths])

    @cached_property
    def _all_collections(self) -> frozenset[str]:
        return frozenset().union(*self._collections)

    def _filter(self, wanted: Filter) -> tuple[Pick, ...]:
        indexes: Iterable[int] = range(len(self.head.seqs))
        if wanted.dids:
            indexes = sorted([index for did in wanted.dids & self._dids for index in self._by_did[did]])
        if wanted.kinds:
            kinds = self.head.kinds
            indexes = [index for index in indexes if kinds[index] in wanted.kinds]
        if not wanted.names_collections:
            return tuple(map(Pick, indexes))
        named = self._names_of(Filter(collections=wanted.collections, prefixes=wanted.prefixes))
        return tuple([pick for index in indexes if (pick := self._pick(index, named)) is not None])

    def _names_of(self, wanted: Filter) -> frozenset[str]:
        named = self._named.get(wanted)
        if named is None:
            named = self._named[wanted] = frozenset(filter(wanted.has_collection, self._all_collections))
        return named

    def _pick(self, index: int, named: frozenset[str]) -> Pick | None:
        if self.head.kinds[index] != COMMIT:
            return Pick(index)
        collections = self._collections[index]
        if named.isdisjoint(collections):
            return None
        if named.issuperset(collections):
            return Pick(index)
        return Pick(index, frozenset([at for at, name in enumerate(collections) if name in named]))
