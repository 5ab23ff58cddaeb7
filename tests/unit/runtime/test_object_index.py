"""The index's contract, over the implementation in memory; the platform's is tried end to end."""

from __future__ import annotations

import pytest

from edgerelay.runtime.memory import MemoryIndex
from edgerelay.runtime.object_index import ObjectIndex, ObjectIndexError
from tests.coroutines import finished


def test_rows_come_by_their_prefix_in_order() -> None:
    index: ObjectIndex = MemoryIndex()
    for key in ("a/2", "b/1", "a/1"):
        finished(index.put(key, {"key": key}, 9))
    finished(index.put("a/1", {"key": "again"}, 9))
    finished(index.delete("b/1"))
    finished(index.delete("b/1"))
    assert finished(index.rows("a/")) == ({"a/1": {"key": "again"}, "a/2": {"key": "a/2"}}, "")
    assert finished(index.rows("b/")) == ({}, "")


def test_many_rows_come_page_by_page() -> None:
    index = MemoryIndex()
    for number in range(2_500):
        finished(index.put(f"{number:04}", {}, 9))
    seen, cursor, pages = list[str](), "", 0
    while cursor or not pages:
        rows, cursor = finished(index.rows("", cursor))
        seen, pages = [*seen, *rows], pages + 1
    assert (pages, seen) == (3, [f"{number:04}" for number in range(2_500)])


def test_one_that_is_down_is_said() -> None:
    index = MemoryIndex()
    index.problem = "down"
    for call in (index.put("a", {}, 1), index.delete("a"), index.rows("")):
        with pytest.raises(ObjectIndexError, match="down"):
            finished(call)
