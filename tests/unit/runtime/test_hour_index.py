"""The index of an hour says what is there; what cannot be opened is left out and said."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from edgerelay.archive.catalog import CATALOG_KEY, Catalog
from edgerelay.archive.cutting import HOUR_US, hour_of
from edgerelay.archive.manifest import manifest_key
from edgerelay.archive.object_names import Folder, ObjectName
from edgerelay.runtime.hour_index import names_below
from edgerelay.runtime.objects import MAX_LISTED
from tests.coroutines import finished
from tests.histories import KEPT_US, NOON_US, Past

HOUR = hour_of(NOON_US)


@pytest.fixture
def past() -> Iterator[Past]:
    created = Past()
    for _ in range(6):
        created.write(*[1] * 5)
    created.compact_all()
    yield created
    created.close()


def test_a_catalog_that_is_lost_or_damaged_is_made_anew(past: Past) -> None:
    whole = past.objects.objects[CATALOG_KEY]
    for damaged in (None, b"", whole[:-1]):
        past.objects.objects.pop(CATALOG_KEY)
        if damaged is not None:
            past.objects.objects[CATALOG_KEY] = damaged
        hours = past.upkeep().hours
        catalog = finished(hours.read_catalog())
        assert catalog.hours == {}
        assert finished(hours.publish(HOUR, finished(hours.names_of(HOUR)), catalog))
        finished(hours.save(catalog))
        again = finished(hours.read_catalog())
        assert again.figures()._replace(hours=1) == catalog.figures()


def test_what_cannot_be_opened_is_left_out_and_said(past: Past) -> None:
    hours = past.upkeep().hours
    names = finished(hours.names_of(HOUR))
    bad = names.segments[0]
    past.objects.objects[bad.key] = b"damaged"
    catalog = finished(hours.read_catalog())
    finished(hours.publish(HOUR, names, catalog))
    manifest = json.loads(past.objects.objects[manifest_key(HOUR)])
    assert [each["key"] for each in manifest["objects"]] == [name.key for name in names.kept if name != bad]
    assert past.lines.named("archive_damaged")[-1]["last_seq"] == bad.last_seq


def test_rows_that_would_be_gone_at_once_are_not_written(past: Past) -> None:
    past.index.entries.clear()
    past.clock.now_us = (HOUR + 1) * HOUR_US + KEPT_US
    hours = past.upkeep().hours
    catalog = finished(hours.read_catalog())
    finished(hours.publish(HOUR, finished(hours.names_of(HOUR)), catalog))
    assert past.index.entries == {}
    assert catalog.hours == {}, "the hour is over"


def test_an_hour_with_too_many_rows_is_written_by_several_runs(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = dict(past.index.entries)
    nowhere = ObjectName(Folder.FIREHOSE, NOON_US + 2, NOON_US + 3)
    past.index.entries = {nowhere.key: ({}, 9)}
    monkeypatch.setattr("edgerelay.runtime.hour_index.ROWS_A_RUN", 2)
    written, runs = 0, list[bool]()
    while True not in runs:
        hours = past.upkeep().hours
        catalog = finished(hours.read_catalog())
        runs.append(finished(hours.publish(HOUR, finished(hours.names_of(HOUR)), catalog)))
        assert len(past.index.entries) - written <= 2
        written = len(past.index.entries)
    assert past.index.entries == rows
    assert len(runs) == (len(rows) + 2) // 2


def test_rows_that_are_there_are_not_written_again(past: Past) -> None:
    lacking, _ = past.index.entries.popitem()
    past.index.entries = {key: (facts, 7) for key, (facts, _) in past.index.entries.items()}
    hours = past.upkeep().hours
    finished(hours.publish(HOUR, finished(hours.names_of(HOUR)), Catalog({})))
    assert [key for key, (_, expires_s) in past.index.entries.items() if expires_s != 7] == [lacking]


def test_all_names_below_a_prefix(past: Past) -> None:
    many = [f"{Folder.GROUPS}/{number:05}" for number in range(MAX_LISTED + 3)]
    past.objects.objects.update(dict.fromkeys(many, b""))
    assert finished(names_below(past.objects, f"{Folder.GROUPS}/0")) == many
