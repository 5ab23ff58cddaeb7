"""The contract of a bucket, over the implementation in memory; the platform's is tried end to end."""

from __future__ import annotations

import pytest

from edgerelay.runtime.memory import MemoryObjects
from edgerelay.runtime.objects import LostObjects, ObjectReader, ObjectStore, ObjectStoreError
from tests.coroutines import finished
from tests.object_contract import OBJECTS, ObjectReaderContract


@pytest.fixture(params=["memory", "one that can be lost"])
def objects(request: pytest.FixtureRequest) -> ObjectStore:
    memory = MemoryObjects()
    return memory if request.param == "memory" else LostObjects(memory)


def test_an_object_is_put_once(objects: ObjectStore) -> None:
    assert finished(objects.put("a/1", b"first"))
    assert not finished(objects.put("a/1", b"second"))
    assert finished(objects.read("a/1", 0, 100)) == b"first"


def test_what_is_deleted_is_not_there_any_more(objects: ObjectStore) -> None:
    for name in ("a/1", "a/2", "a/3"):
        finished(objects.put(name, b""))
    finished(objects.delete(["a/1", "a/3", "b"]))
    assert finished(objects.names("")) == ["a/2"]
    assert finished(objects.put("a/1", b"again"))


class TestReading(ObjectReaderContract):
    @pytest.fixture
    def reader(self, objects: ObjectStore) -> ObjectReader:
        for name, data in OBJECTS.items():
            finished(objects.put(name, data))
        return objects


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
