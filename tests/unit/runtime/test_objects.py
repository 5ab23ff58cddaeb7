"""The contract of a bucket, over the implementation in memory; the platform's is tried end to end."""

from __future__ import annotations

import pytest

from edgerelay.runtime.memory import MemoryObjects
from edgerelay.runtime.objects import LostObjects, ObjectMissingError, ObjectStore, ObjectStoreError, Tail
from tests.coroutines import finished


@pytest.fixture(params=["memory", "one that can be lost"])
def objects(request: pytest.FixtureRequest) -> ObjectStore:
    memory = MemoryObjects()
    return memory if request.param == "memory" else LostObjects(memory)


def test_an_object_is_put_once(objects: ObjectStore) -> None:
    assert finished(objects.put("a/1", b"first"))
    assert not finished(objects.put("a/1", b"second"))
    assert finished(objects.read("a/1", 0, 100)) == b"first"


def test_parts_end_where_the_object_ends(objects: ObjectStore) -> None:
    finished(objects.put("a/1", b"0123456789"))
    assert finished(objects.read("a/1", 2, 3)) == b"234"
    assert finished(objects.read("a/1", 8, 5)) == b"89"
    assert finished(objects.read_tail("a/1", 3)) == Tail(b"789", 10)
    assert finished(objects.read_tail("a/1", 30)) == Tail(b"0123456789", 10)


def test_names_come_in_order_behind_a_name_and_no_more_than_asked(objects: ObjectStore) -> None:
    for name in ("b/1", "a/3", "a/1", "a/2"):
        finished(objects.put(name, b""))
    assert finished(objects.names("a/")) == ["a/1", "a/2", "a/3"]
    assert finished(objects.names("a/", "a/1")) == ["a/2", "a/3"]
    assert finished(objects.names("a/", "a/1", 1)) == ["a/2"]
    assert finished(objects.names("", "a/3~")) == ["b/1"]
    assert finished(objects.names("c/")) == []


def test_what_is_deleted_is_not_there_any_more(objects: ObjectStore) -> None:
    for name in ("a/1", "a/2", "a/3"):
        finished(objects.put(name, b""))
    finished(objects.delete(["a/1", "a/3", "b"]))
    assert finished(objects.names("")) == ["a/2"]
    assert finished(objects.put("a/1", b"again"))


def test_what_is_not_there_is_said(objects: ObjectStore) -> None:
    with pytest.raises(ObjectMissingError, match="a/1"):
        finished(objects.read("a/1", 0, 1))
    with pytest.raises(ObjectMissingError, match="a/1"):
        finished(objects.read_tail("a/1", 1))


async def check_that_nothing_answers(objects: ObjectStore, problem: str) -> None:
    for call in (
        objects.put("a/2", b""),
        objects.read("a/1", 0, 1),
        objects.read_tail("a/1", 1),
        objects.names(""),
        objects.delete([]),
    ):
        with pytest.raises(ObjectStoreError, match=problem):
            await call


def test_a_bucket_that_is_down_answers_nothing() -> None:
    objects = MemoryObjects()
    finished(objects.put("a/1", b"x"))
    objects.problem = "no answer"
    finished(check_that_nothing_answers(objects, "no answer"))
    objects.problem = ""
    assert finished(objects.names("")) == ["a/1"]


def test_one_that_is_lost_is_found_again() -> None:
    objects = LostObjects(MemoryObjects())
    finished(objects.put("a/1", b"x"))
    objects.is_lost = True
    finished(check_that_nothing_answers(objects, "lost"))
    objects.is_lost = False
    assert finished(objects.names("")) == ["a/1"]
