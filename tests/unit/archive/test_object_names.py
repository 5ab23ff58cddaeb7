"""Names of objects: they come back, sort by their numbers, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.block import MAX_GENERATION, MAX_SEQ
from edgerelay.archive.object_names import (
    Folder,
    ObjectName,
    ObjectNameError,
    holders,
    hour_folder,
    hour_of_key,
    hour_prefix,
    own_names,
)
from edgerelay.errors import InvariantError
from tests.packing import HOUR_US

NAME = ObjectName(Folder.FIREHOSE, HOUR_US, HOUR_US + 3_599_999_999, 2)
KEY = "firehose/2026/11/23/14/1795442400000000-1795445999999999.g2.ers"

names = st.builds(
    lambda folder, seqs, generation: ObjectName(folder, min(seqs), max(seqs), generation),
    st.sampled_from(Folder),
    st.tuples(st.integers(0, MAX_SEQ), st.integers(0, MAX_SEQ)),
    st.integers(0, MAX_GENERATION),
)


def test_golden_names() -> None:
    assert NAME.key == KEY
    assert ObjectName(Folder.GROUPS, 1, 2).key == "groups/1970/01/01/00/0000000000000001-0000000000000002.g0.ers"
    assert ObjectName(Folder.JETSTREAM, MAX_SEQ, MAX_SEQ).key == (
        "jetstream/2255/06/05/23/9007199254740991-9007199254740991.g0.ers"
    )


@given(names)
def test_a_name_comes_back(name: ObjectName) -> None:
    assert ObjectName.parse(name.key) == name
    assert name.key.startswith(hour_prefix(name.folder, name.first_seq))


@given(st.lists(names))
def test_names_of_a_folder_sort_by_their_first_number(some: list[ObjectName]) -> None:
    keys = sorted(name._replace(folder=Folder.GROUPS).key for name in some)
    assert [ObjectName.parse(key).first_seq for key in keys] == sorted(name.first_seq for name in some)


def test_the_hour_is_that_of_the_first_number_in_utc() -> None:
    prefix = "groups/2026/11/23/14/"
    assert [hour_prefix(Folder.GROUPS, HOUR_US + late) for late in (0, 3_599_999_999)] == [prefix, prefix]
    assert hour_prefix(Folder.GROUPS, HOUR_US - 1) == "groups/2026/11/23/13/"
    assert hour_prefix(Folder.GROUPS, HOUR_US + 3_600_000_000) == "groups/2026/11/23/15/"


@pytest.mark.parametrize(
    "key",
    [
        "",
        KEY[:-1],
        KEY + " ",
        "/" + KEY,
        KEY.replace("firehose", "manifests"),
        KEY.replace("firehose", "Firehose"),
        KEY.replace("/14/", "/15/"),
        KEY.replace("/14/", "/"),
        KEY.replace("/2026/", "/2027/"),
        KEY.replace("/11/", "/13/"),
        KEY.replace("g2", "g02"),
        KEY.replace("g2", "g-2"),
        KEY.replace("g2", f"g{MAX_GENERATION + 1}"),
        KEY.replace(".g2", ""),
        KEY.replace("1795445999999999", "1795442399999999"),
        KEY.replace("1795445999999999", "9999999999999999"),
        KEY.replace("1795442400000000", "01795442400000000"),
        KEY.replace("2026", "\uff12\uff10\uff12\uff16"),
    ],
)
def test_a_foreign_name_is_refused(key: str) -> None:
    with pytest.raises(ObjectNameError):
        ObjectName.parse(key)


def test_a_refusal_does_not_repeat_a_long_name() -> None:
    with pytest.raises(ObjectNameError) as refused:
        ObjectName.parse("x" * 1_000)
    assert len(str(refused.value)) < 200


@given(st.text())
def test_any_text_is_a_name_or_refused(key: str) -> None:
    try:
        name = ObjectName.parse(key)
    except ObjectNameError:
        return
    assert name.key == key


@pytest.mark.parametrize(
    "name",
    [
        NAME._replace(first_seq=-1),
        NAME._replace(last_seq=HOUR_US - 1),
        NAME._replace(last_seq=MAX_SEQ + 1),
        NAME._replace(generation=-1),
        NAME._replace(generation=MAX_GENERATION + 1),
    ],
)
def test_numbers_that_cannot_be_have_no_name(name: ObjectName) -> None:
    with pytest.raises(InvariantError, match="an object of"):
        _ = name.key


def test_of_many_names_those_that_are_ours_are_kept_in_their_order() -> None:
    names = [ObjectName(Folder.GROUPS, seq, seq + 1) for seq in (2 * 10**15, 10**15)]
    assert own_names([names[0].key, "readme", names[1].key, f"{names[0].key}~"]) == names


class TestHolders:
    def test_the_one_that_reaches_furthest_and_before_it_the_one_that_was_rewritten(self) -> None:
        group, segment = ObjectName(Folder.GROUPS, 10, 20), ObjectName(Folder.FIREHOSE, 10, 50)
        rewritten = ObjectName(Folder.GROUPS, 15, 30, 1)
        names = [group, segment, rewritten]
        assert holders(names, 12) == [segment, group]
        assert holders(names, 15) == [rewritten, segment, group]
        assert holders(names, 21) == [rewritten, segment]
        assert holders(names, 5) == [segment, group]
        assert holders(names, 51) == []

    @given(st.lists(names), st.integers(0, MAX_SEQ))
    def test_they_hold_the_cursor_or_nothing_begins_between(self, some: list[ObjectName], cursor: int) -> None:
        found = holders(some, cursor)
        assert bool(found) == any(name.last_seq >= cursor for name in some)
        for name in found:
            assert name.last_seq >= cursor
            between = [each for each in some if cursor <= each.first_seq < name.first_seq]
            assert not between or name.first_seq <= cursor


def test_one_covers_another_if_it_has_all_of_it_as_new_or_newer() -> None:
    whole = ObjectName(Folder.FIREHOSE, 10, 20, 1)
    assert whole.covers(ObjectName(Folder.GROUPS, 10, 20, 1))
    assert whole.covers(ObjectName(Folder.GROUPS, 11, 19, 0))
    assert not whole.covers(ObjectName(Folder.GROUPS, 9, 19, 0))
    assert not whole.covers(ObjectName(Folder.GROUPS, 11, 21, 0))
    assert not whole.covers(ObjectName(Folder.GROUPS, 11, 19, 2))


@given(names)
def test_the_hour_of_a_name_is_found_again(name: ObjectName) -> None:
    assert hour_of_key(name.key) == name.hour
    assert name.key.startswith(f"{hour_folder(name.folder, name.hour)}/")


@pytest.mark.parametrize(
    ("key", "has_hour"),
    [
        ("manifests/2026/11/23/14.json", True),
        ("dead/2026/11/23/14/x", True),
        ("manifests/2026/13/23/14.json", False),
        ("manifests/2026/11/23/24.json", False),
        ("catalog.json", False),
        ("groups/readme", False),
        ("x/groups/2026/11/23/14/x", False),
    ],
)
def test_names_of_other_kinds_may_have_an_hour(key: str, has_hour: bool) -> None:
    assert hour_of_key(key) == (HOUR_US // 3_600_000_000 if has_hour else None)
