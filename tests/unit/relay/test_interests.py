"""Interests: whoever gets anything of a batch is concerned, and few others are."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.batch import KINDS, BatchHead
from edgerelay.relay.channel import FIREHOSE, Channel, Wire
from edgerelay.relay.filters import BatchColumns, Filter, Token
from edgerelay.relay.interests import MAX_TOKENS, MOST_TOKENS, Interests, tokens_of

DIDS = ("did:plc:a", "did:plc:b", "did:web:c_d")
NAMES = ("app.a", "app.ab", "com.b")
FILTERS = st.builds(
    Filter,
    st.frozensets(st.sampled_from(KINDS), max_size=2),
    st.frozensets(st.sampled_from(DIDS), max_size=2),
    st.frozensets(st.sampled_from(NAMES), max_size=2),
    st.sampled_from([(), (), ("app.",), ("com.", "net.")]),
)
CHANNELS = st.builds(Channel, st.sampled_from([Wire.FRAMES, Wire.LINES]), FILTERS)
EVENTS = st.one_of(
    st.tuples(
        st.just("#commit"),
        st.sampled_from(DIDS),
        st.lists(st.sampled_from([f"{name}/k" for name in NAMES]), max_size=3).map(tuple),
    ),
    st.tuples(st.sampled_from(KINDS[1:]), st.sampled_from(DIDS), st.just(())),
)


def columns_of(events: Iterable[tuple[str, str, tuple[str, ...]]]) -> BatchColumns:
    kinds, dids, paths = zip(*events, strict=True)
    seqs = tuple(range(10, 10 + len(kinds)))
    return BatchColumns(BatchHead(9, seqs, kinds, (1,) * len(seqs), dids, paths, (), b""))


def with_channels(*channels: Channel) -> Interests:
    interests = Interests()
    for channel in channels:
        interests.add(channel)
    return interests


@given(st.lists(EVENTS, min_size=1, max_size=6), st.sets(CHANNELS, max_size=6), st.data())
def test_nobody_who_gets_something_is_left_out(
    events: list[tuple[str, str, tuple[str, ...]]], channels: set[Channel], data: st.DataObject
) -> None:
    """And who is not there any more is not concerned."""
    columns, interests = columns_of(events), with_channels(*channels)
    gone = data.draw(st.sets(st.sampled_from(sorted(channels)))) if channels else set()
    for channel in gone:
        interests.remove(channel)
    concerned = set(interests.concerned(columns.tokens))
    assert {channel for channel in channels - gone if columns.picks(channel.filter)} <= concerned <= channels - gone


COMMITS = frozenset({"#commit"})
ANNA, BOB = frozenset(DIDS[:1]), frozenset(DIDS[1:2])
APP, COM = frozenset({"app.a"}), frozenset({"com.b"})


@pytest.mark.parametrize(
    ("wanted", "is_concerned"),
    [
        (Filter(), True),
        (Filter(dids=ANNA), True),
        (Filter(dids=BOB), False),
        (Filter(COMMITS, ANNA, APP), True),
        (Filter(COMMITS, ANNA, COM), False),
        (Filter(dids=ANNA, collections=COM), True),
        (Filter(COMMITS, collections=APP), True),
        (Filter(COMMITS, collections=COM), False),
        (Filter(frozenset({"#sync"}), collections=APP), False),
        (Filter(frozenset({"#sync"})), False),
        (Filter(COMMITS), True),
        (Filter(COMMITS, prefixes=("net.",)), True),
    ],
)
def test_who_is_concerned_by_a_post_of_anna(wanted: Filter, *, is_concerned: bool) -> None:
    tokens = columns_of([("#commit", "did:plc:a", ("app.a/1",))]).tokens
    channel = Channel(filter=wanted)
    assert (channel in with_channels(channel).concerned(tokens)) is is_concerned


def test_a_channel_is_concerned_once() -> None:
    everybody = Channel(filter=Filter(dids=frozenset(DIDS)))
    tokens = columns_of([("#sync", did, ()) for did in DIDS]).tokens
    assert list(with_channels(everybody, FIREHOSE).concerned(tokens)) == [FIREHOSE, everybody]


def test_who_wants_everything_needs_no_tokens() -> None:
    assert not with_channels(FIREHOSE).names_tokens
    assert list(with_channels(FIREHOSE).concerned(())) == [FIREHOSE]


def dids(count: int) -> frozenset[str]:
    return frozenset([f"did:plc:{index}" for index in range(count)])


def test_one_with_too_many_tokens_is_always_concerned() -> None:
    assert len(tokens_of(Filter(dids=dids(MAX_TOKENS))) or ()) == MAX_TOKENS
    channel = Channel(filter=Filter(dids=dids(MAX_TOKENS + 1)))
    assert channel in with_channels(channel).concerned(())


def test_with_too_many_pairs_the_accounts_are_enough() -> None:
    names = frozenset([f"app.{index}" for index in range(11)])
    assert len(tokens_of(Filter(COMMITS, dids(9), names)) or ()) == 99
    assert set(tokens_of(Filter(COMMITS, dids(10), names)) or ()) == dids(10)


def test_all_tokens_together_are_bounded() -> None:
    """Whoever comes then is always concerned, until others have left."""
    filters = [Filter(dids=frozenset([f"did:{at}:{each}" for each in range(MAX_TOKENS)])) for at in range(400)]
    channels = [Channel(filter=wanted) for wanted in filters]
    interests, late = with_channels(*channels), Channel(filter=Filter(dids=ANNA))
    assert MAX_TOKENS * len(channels) == MOST_TOKENS
    interests.add(late)
    assert list(interests.concerned(())) == [late]
    interests.remove(late)
    interests.remove(channels[0])
    interests.add(late)
    assert list(interests.concerned(())) == []
    assert list(interests.concerned(ANNA)) == [late]


@given(st.sampled_from(KINDS), st.sampled_from(DIDS), st.sampled_from(NAMES))
def test_tokens_of_different_kinds_are_never_the_same(kind: str, did: str, name: str) -> None:
    tokens: list[Token] = [kind, did, name, *product([did], [name])]
    assert len(set(tokens)) == len(tokens)
