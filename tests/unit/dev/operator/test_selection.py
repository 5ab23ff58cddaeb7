"""What a selection wants, and what it may pass over."""

from __future__ import annotations

import pytest

from edgerelay.archive.container_index import ContainerIndex, Stream
from edgerelay_dev.operator.selection import Selection
from tests.archives import COLLECTIONS, DIDS, an_event, block_of
from tests.packing import HOUR_US

LIKE, POST, BLOCK = COLLECTIONS
EVENT = an_event(HOUR_US + 10, DIDS[0], LIKE, POST)
ACCOUNT = an_event(HOUR_US + 20, DIDS[1])
CONTENTS = block_of([EVENT, ACCOUNT], HOUR_US).facts.contents


def wants(selection: Selection) -> list[int]:
    return [each.seq - HOUR_US for each in (EVENT, ACCOUNT) if selection.wants(each.seq, each.did, each.paths)]


@pytest.mark.parametrize(
    ("selection", "wanted", "may_match"),
    [
        (Selection(), [10, 20], True),
        (Selection(first_seq=HOUR_US + 11), [20], True),
        (Selection(first_seq=HOUR_US + 20), [20], True),
        (Selection(first_seq=HOUR_US + 21), [], False),
        (Selection(end_seq=HOUR_US + 20), [10], True),
        (Selection(end_seq=HOUR_US + 10), [], False),
        (Selection(dids=frozenset(DIDS[:1])), [10], True),
        (Selection(dids=frozenset(DIDS[1:])), [20], True),
        (Selection(dids=frozenset(DIDS[2:])), [], False),
        (Selection(collections=frozenset([POST, BLOCK])), [10], True),
        (Selection(collections=frozenset([BLOCK])), [], False),
        (Selection(collections=frozenset(["app.bsky.feed"])), [], False),
    ],
)
def test_events_and_blocks(selection: Selection, wanted: list[int], may_match: bool) -> None:
    assert wants(selection) == wanted
    assert selection.may_match(CONTENTS) is may_match


def test_what_is_not_known_may_match() -> None:
    unknown = CONTENTS._replace(collections=None, did_filter=None)
    assert Selection(dids=frozenset(DIDS[2:]), collections=frozenset([BLOCK])).may_match(unknown)


def test_an_index_is_asked_like_a_block() -> None:
    index = ContainerIndex(Stream.FIREHOSE, 0, HOUR_US, HOUR_US + 10, HOUR_US + 20, (LIKE,), None, ())
    assert Selection(collections=frozenset([LIKE])).may_match(index)
    assert not Selection(collections=frozenset([POST])).may_match(index)


def test_lines_are_wanted_by_their_collection() -> None:
    assert Selection().wants_collection("")
    assert Selection(collections=frozenset([LIKE])).wants_collection(LIKE)
    assert not Selection(collections=frozenset([LIKE])).wants_collection("")
