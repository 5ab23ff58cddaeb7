"""Filters, by a twin that looks at one event after the other."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.batch import KINDS, BatchHead
from edgerelay.archive.block import Contents, collections_of
from edgerelay.archive.did_filter import DidFilter
from edgerelay.relay.filters import EVERYTHING, MAX_DIDS, BatchColumns, Filter, Pick

DIDS = ("did:plc:a", "did:plc:b", "did:web:c_d")
NAMES = ("app.a", "app.ab", "com.b")

Event = tuple[str, str, tuple[str, ...]]

EVENTS: st.SearchStrategy[list[Event]] = st.lists(
    st.one_of(
        st.tuples(
            st.just("#commit"),
            st.sampled_from(DIDS),
            st.lists(st.sampled_from([f"{name}/k" for name in NAMES]), max_size=3).map(tuple),
        ),
        st.tuples(st.sampled_from(KINDS[1:]), st.sampled_from(DIDS), st.just(())),
    ),
    min_size=1,
    max_size=6,
)
FILTERS = st.builds(
    Filter,
    st.frozensets(st.sampled_from(KINDS), max_size=2),
    st.frozensets(st.sampled_from(DIDS), max_size=2),
    st.frozensets(st.sampled_from(NAMES), max_size=2),
    st.sampled_from([(), ("app.",), ("com.", "net.")]),
)


def head_of(events: list[Event]) -> BatchHead:
    kinds, dids, paths = zip(*events, strict=True)
    seqs = tuple(range(10, 10 + 10 * len(events), 10))
    return BatchHead(9, seqs, kinds, (1,) * len(events), dids, paths, (), b"")


def contents_of(events: list[Event]) -> Contents:
    head = head_of(events)
    paths = [path for _, _, paths in events for path in paths]
    counts = tuple([head.kinds.count(kind) for kind in KINDS])
    return Contents(9, 10, 10 * len(events), counts, collections_of(paths), DidFilter.of(head.dids), ())


def passing(event: Event, wanted: Filter) -> list[int] | None:
    """The operations that pass; None if the event does not."""
    kind, did, paths = event
    if (wanted.kinds and kind not in wanted.kinds) or (wanted.dids and did not in wanted.dids):
        return None
    if kind != "#commit" or not (wanted.collections or wanted.prefixes):
        return list(range(len(paths)))
    names = [path.split("/")[0] for path in paths]
    found = [
        index
        for index, name in enumerate(names)
        if name in wanted.collections or any(name.startswith(prefix) for prefix in wanted.prefixes)
    ]
    return found or None


@given(EVENTS, st.lists(FILTERS, min_size=1, max_size=5))
def test_what_passes_is_what_the_twin_lets_pass(events: list[Event], filters: list[Filter]) -> None:
    columns = BatchColumns(head_of(events))
    for wanted in filters:
        expected = [(index, passing(event, wanted)) for index, event in enumerate(events)]
        assert [
            (pick.at, sorted(range(len(events[pick.at][2])) if pick.operations is None else pick.operations))
            for pick in columns.picks(wanted)
        ] == [each for each in expected if each[1] is not None]


@given(EVENTS, FILTERS)
def test_a_block_in_which_something_passes_may_match(events: list[Event], wanted: Filter) -> None:
    may_match = wanted.may_match()
    assert (may_match is None) == (wanted == EVERYTHING)
    if may_match is not None and any(passing(event, wanted) is not None for event in events):
        assert may_match(contents_of(events))


COMMIT, ACCOUNT = ("#commit", DIDS[0], ("app.a/k",)), ("#account", DIDS[1], ())


@pytest.mark.parametrize(
    ("wanted", "events"),
    [
        (Filter(kinds=frozenset(["#sync"])), [COMMIT, ACCOUNT]),
        (Filter(dids=frozenset([DIDS[2]])), [COMMIT, ACCOUNT]),
        (Filter(dids=frozenset([f"did:plc:{number}" for number in range(50)])), [COMMIT, ACCOUNT]),
        (Filter(collections=frozenset(["com.b"])), [COMMIT]),
        (Filter(prefixes=("app.b",)), [COMMIT]),
        (Filter(kinds=frozenset(["#commit"]), prefixes=("com.",)), [COMMIT, ACCOUNT]),
    ],
)
def test_a_block_in_which_nothing_can_pass_does_not_match(wanted: Filter, events: list[Event]) -> None:
    may_match = wanted.may_match()
    assert may_match is not None
    assert not may_match(contents_of(events))


def test_a_block_that_says_nothing_may_hold_anything() -> None:
    contents = contents_of([COMMIT])._replace(collections=None, did_filter=None)
    may_match = Filter(dids=frozenset([DIDS[2]]), collections=frozenset(["com.b"])).may_match()
    assert may_match is not None
    assert may_match(contents)


def test_a_kind_that_is_not_known_may_be_any() -> None:
    contents = contents_of([COMMIT])._replace(counts=(0, 0, 0, 0, 1))
    may_match = Filter(kinds=frozenset(["#sync"])).may_match()
    assert may_match is not None
    assert may_match(contents)


def test_each_filter_is_asked_once() -> None:
    columns = BatchColumns(head_of([COMMIT, ACCOUNT]))
    wanted = Filter(prefixes=("app.",))
    assert columns.picks(wanted) is columns.picks(Filter(prefixes=("app.",)))
    assert columns.picks(wanted) == (Pick(0), Pick(1))


def test_large_filters_of_readers_that_left_hold_little() -> None:
    tracemalloc.start()
    for reader in range(16):
        Filter(dids=frozenset([f"did:plc:{reader:04}{number:020}" for number in range(MAX_DIDS)])).may_match()
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held_bytes < 20_000_000
