"""The archiver: every message is done with, kept, or comes again; the lines of a group are stored once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from edgerelay.archive.object_names import Folder, own_names
from edgerelay.runtime.archiver import RENDER_TRIES, Message
from tests.coroutines import finished
from tests.histories import Past


@pytest.fixture
def past() -> Iterator[Past]:
    """Two groups, which were announced."""
    created = Past()
    created.write(*[1] * 15)
    created.write(*[1] * 15)
    created.archive()
    assert len(created.queue.messages) == 2
    yield created
    created.close()


def below(past: Past, folder: str) -> list[str]:
    return sorted(key for key in past.objects.objects if key.startswith(f"{folder}/"))


def test_the_lines_of_each_group_in_whatever_order_and_however_often(past: Past) -> None:
    for number in (1, 0, 1, 1, 0):
        assert past.deliver(number)
    groups = own_names(below(past, Folder.GROUPS))
    assert own_names(below(past, Folder.JETSTREAM)) == [group._replace(folder=Folder.JETSTREAM) for group in groups]
    assert past.read_lines() == past.expected_lines()


def test_a_bucket_that_is_down_brings_the_message_again(past: Past) -> None:
    past.objects.problem = "down"
    assert not past.deliver(0)
    assert past.lines.named("archiver_failed")[0]["problem"] == "down"
    past.objects.problem = ""
    assert past.deliver(0)


def test_a_put_that_was_lost_changes_nothing(past: Past) -> None:
    past.objects.faults = ["lost"]
    assert not past.deliver(0)
    stored = dict(past.objects.objects)
    assert past.deliver(0)
    assert past.objects.objects == stored


def test_a_group_that_is_gone_is_done_with(past: Past) -> None:
    for key in below(past, Folder.GROUPS):
        del past.objects.objects[key]
    assert past.deliver(0)
    assert past.objects.objects == {}


def test_a_group_that_cannot_be_rendered_goes_into_quarantine_and_stays_readable(past: Past) -> None:
    past.damaged_frames.add(past.events[3][1])
    for attempt in range(1, RENDER_TRIES):
        assert not past.deliver(0, attempt)
    assert below(past, "quarantine") == []
    for _ in range(2):
        assert past.deliver(0, RENDER_TRIES)
    (note,) = below(past, "quarantine")
    assert json.loads(past.objects.objects[note])["problem"] == "a damaged frame"
    assert len(past.lines.named("group_quarantined")) == 1, "said once"
    block = finished(past.reader().find(past.events[0][0]))
    assert block is not None
    assert next(iter(block.split())) == past.events[0]


@pytest.mark.parametrize("body", [b"bytes", "no JSON", '{"version":9}', None])
def test_what_nobody_understands_is_kept_and_done_with(past: Past, body: object) -> None:
    message = Message("6a3f", body, 1)
    for _ in range(2):
        assert finished(past.upkeep().archiver.take(message))
    (letter,) = below(past, "dead")
    assert json.loads(past.objects.objects[letter])["body"] == str(body)
    assert past.lines.named("dead_letter")[0]["message"] == "6a3f"


def test_what_cannot_be_kept_comes_again(past: Past) -> None:
    past.objects.problem = "down"
    assert not finished(past.upkeep().archiver.bury(Message("1", "x", 11), "given up"))
    past.objects.problem = ""
    assert finished(past.upkeep().archiver.bury(Message("1", "x", 11), "given up"))
    (letter,) = below(past, "dead")
    assert json.loads(past.objects.objects[letter])["attempts"] == 11
