"""The hidden accounts of a shard: a set that follows changes, and what it leaves out of a batch."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.batch import BatchBuilder, BatchHead
from edgerelay.archive.hiding import Visibility, VisibilityChange
from edgerelay.archive.record_run import KEY_BYTES
from edgerelay.relay import hidden as module
from edgerelay.relay.accounts import hash_did
from edgerelay.relay.hidden import REMEMBERED_HEADS, HiddenAccounts
from tests.oracle import frames

ACCOUNTS = [frames.did(number) for number in range(12)]


def change(version: int, number: int, visibility: Visibility) -> VisibilityChange:
    return VisibilityChange(version, hash_did(ACCOUNTS[number]), visibility)


def head_of(*events: tuple[str, int]) -> BatchHead:
    builder = BatchBuilder(0)
    for seq, (kind, number) in enumerate(events, 1):
        builder.add(seq, kind, ACCOUNTS[number], (), b"x")
    return builder.build((), b"").head


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 11), st.sampled_from(Visibility)), max_size=8), max_size=12),
    st.integers(0, 5),
)
def test_it_is_what_the_last_change_of_each_account_says(
    pages: list[list[tuple[int, Visibility]]], unsorted: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MIN_UNSORTED", unsorted)
        hidden, twin, version = HiddenAccounts(), dict[int, Visibility](), 0
        for page in pages:
            changes = []
            for number, visibility in page:
                version += 1
                twin[number] = visibility
                changes.append(change(version, number, visibility))
            hidden.take(changes)
            assert hidden.version == version
            found = {number for number, did in enumerate(ACCOUNTS) if hidden.hides(did)}
            assert found == {number for number, visibility in twin.items() if visibility is not Visibility.SHOWN}


def test_what_is_older_than_what_is_known_changes_nothing() -> None:
    """As what RelayState stored some time ago is."""
    hidden = HiddenAccounts()
    hidden.take([change(10, 1, Visibility.DELETED), change(20, 2, Visibility.SHOWN)])
    hidden.take([change(5, 2, Visibility.DELETED), change(8, 1, Visibility.SHOWN), change(20, 2, Visibility.DELETED)])
    assert hidden.version == 20
    assert [hidden.hides(ACCOUNTS[number]) for number in (1, 2)] == [True, False]


def test_taking_changes_in_needs_little_more_room_than_the_set() -> None:
    """Isolates have 128 MB for everything, and the set may have a million accounts."""
    size = 100_000
    keys = [number.to_bytes(KEY_BYTES, "little") for number in range(1, size + size // 4)]
    changes = [VisibilityChange(version, key, Visibility.DELETED) for version, key in enumerate(keys, 1)]
    hidden = HiddenAccounts()
    hidden.take(changes[:size])
    tracemalloc.start()
    try:
        hidden.take(changes[size:])
        assert tracemalloc.get_traced_memory()[1] < 60 * size
    finally:
        tracemalloc.stop()
    assert len(hidden) == len(changes)


class TestIndexes:
    def test_all_but_what_is_said_of_their_status(self) -> None:
        hidden = HiddenAccounts()
        head = head_of(("#commit", 1), ("#commit", 2), ("#account", 1), ("#identity", 1), ("#sync", 1))
        assert hidden.indexes(head) == frozenset()
        hidden.take([change(1, 1, Visibility.TAKEN_DOWN)])
        assert hidden.indexes(head) == {0, 3, 4}
        hidden.take([change(2, 1, Visibility.SHOWN), change(3, 2, Visibility.DELETED)])
        assert hidden.indexes(head) == {1}

    def test_of_a_few_batches_it_is_remembered(self) -> None:
        hidden = HiddenAccounts()
        hidden.take([change(1, 1, Visibility.TAKEN_DOWN_HERE)])
        heads = [head_of(("#commit", number % 3)) for number in range(3 * REMEMBERED_HEADS)]
        for _ in range(2):
            found = [bool(hidden.indexes(head)) for head in heads]
            assert found == [number % 3 == 1 for number in range(len(heads))]
        assert hidden.indexes(heads[-2]) is hidden.indexes(heads[-2])
