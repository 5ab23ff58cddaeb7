"""The contract of what reads a bucket, for the tests of each implementation."""

from __future__ import annotations

import pytest

from edgerelay.runtime.objects import ObjectMissingError, ObjectReader, Tail
from tests.coroutines import finished

__all__ = ["OBJECTS", "ObjectReaderContract"]

OBJECTS = {"b/1.ers": b"", "a/3.ers": b"3", "a/1.ers": b"0123456789", "a/2.ers": b"2"}
"""What the bucket holds that is tried."""


class ObjectReaderContract:
    """Subclasses give the fixture `reader`, over a bucket with these `OBJECTS`."""

    def test_parts_end_where_the_object_ends(self, reader: ObjectReader) -> None:
        assert finished(reader.read("a/1.ers", 0, 100)) == b"0123456789"
        assert finished(reader.read("a/1.ers", 2, 3)) == b"234"
        assert finished(reader.read("a/1.ers", 8, 5)) == b"89"
        assert finished(reader.read("a/1.ers", 10, 5)) == b""
        assert finished(reader.read("a/1.ers", 3, 0)) == b""

    def test_the_end_comes_with_the_size_of_the_whole(self, reader: ObjectReader) -> None:
        assert finished(reader.read_tail("a/1.ers", 3)) == Tail(b"789", 10)
        assert finished(reader.read_tail("a/1.ers", 30)) == Tail(b"0123456789", 10)
        assert finished(reader.read_tail("b/1.ers", 3)) == Tail(b"", 0)

    def test_names_come_in_order_behind_a_name_and_no_more_than_asked(self, reader: ObjectReader) -> None:
        assert finished(reader.names("")) == sorted(OBJECTS)
        assert finished(reader.names("a/")) == ["a/1.ers", "a/2.ers", "a/3.ers"]
        assert finished(reader.names("a/", "a/1.ers")) == ["a/2.ers", "a/3.ers"]
        assert finished(reader.names("a/", "a/1.ers", 1)) == ["a/2.ers"]
        assert finished(reader.names("", "a/3~")) == ["b/1.ers"]
        assert finished(reader.names("c/")) == []

    def test_what_is_not_there_is_said(self, reader: ObjectReader) -> None:
        with pytest.raises(ObjectMissingError, match=r"a/4\.ers"):
            finished(reader.read("a/4.ers", 0, 1))
        with pytest.raises(ObjectMissingError, match=r"a/4\.ers"):
            finished(reader.read_tail("a/4.ers", 1))
