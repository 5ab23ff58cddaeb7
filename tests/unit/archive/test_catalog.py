"""The catalog comes back, forgets what is over, and is empty when it is damaged."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.catalog import NO_FIGURES, ArchiveFigures, Catalog, HourFigures, checksum_of
from edgerelay.archive.cutting import HOUR_US

counts = st.integers(0, 2**53)
hours = st.dictionaries(
    st.integers(0, 10**6),
    st.builds(HourFigures, *[counts] * 8, st.lists(st.text(max_size=5)).map(tuple)),
    max_size=5,
)


def figures(hour: int, count: int = 1) -> HourFigures:
    return HourFigures(5, hour * HOUR_US + 1, hour * HOUR_US + 9, 7, count, 100 * count, 2 * count, 10 * count, ("x",))


@given(hours)
def test_it_comes_back(some: dict[int, HourFigures]) -> None:
    assert Catalog.decode(Catalog(some).encode()).hours == some


def test_its_figures_are_the_sums() -> None:
    catalog = Catalog({7: figures(7), 9: figures(9, 3)})
    assert catalog.figures() == ArchiveFigures(2, 7 * HOUR_US + 1, 9 * HOUR_US + 9, 4, 400, 8, 40, 2)
    assert Catalog({}).figures() == NO_FIGURES


def test_it_forgets_hours_that_are_over() -> None:
    catalog = Catalog({7: figures(7), 8: figures(8)})
    catalog.forget_before(8 * HOUR_US - 1)
    assert sorted(catalog.hours) == [7, 8]
    catalog.forget_before(8 * HOUR_US)
    assert sorted(catalog.hours) == [8]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'{"version":2,"hours":{}}',
        b'{"version":1}',
        b'{"version":1,"hours":{"x":[]}}',
        b'{"version":1,"hours":{"7":[1]}}',
        b'{"version":1,"hours":{"7":[1,2,3,4,5,6,7,"8",[]]}}',
        b'{"version":1,"hours":[1]}',
    ],
)
def test_what_is_none_is_an_empty_one(raw: bytes) -> None:
    assert Catalog.decode(raw).hours == {}


def test_figures_of_another_version_are_read_as_far_as_they_are_known() -> None:
    text = json.dumps({"hours": 3, "something new": 5})
    assert ArchiveFigures.decode(text) == NO_FIGURES._replace(hours=3)
    told = ArchiveFigures(1, 2, 3, 4, 5, 6, 7, 8, 9)
    assert ArchiveFigures.decode(told.encode()) == told


def test_names_have_one_checksum_in_whatever_order() -> None:
    assert checksum_of(["a", "b"]) == checksum_of(["b", "a"]) != checksum_of(["ab"])
