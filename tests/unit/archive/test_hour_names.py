"""What is left to do follows from names: compared with a slow twin that looks at all pairs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.hour_names import HourNames, split_covered
from edgerelay.archive.object_names import Folder, ObjectName


def named(folder: Folder) -> st.SearchStrategy[ObjectName]:
    return st.builds(
        lambda ends, generation: ObjectName(folder, min(ends), max(ends), generation),
        st.tuples(st.integers(1, 12), st.integers(1, 12)),
        st.integers(0, 2),
    )


def some(folder: Folder) -> st.SearchStrategy[list[ObjectName]]:
    return st.lists(named(folder), max_size=8, unique=True).map(sorted)


hours = st.builds(
    HourNames,
    some(Folder.GROUPS),
    some(Folder.FIREHOSE),
    some(Folder.JETSTREAM),
    some(Folder.GROUPS),
    some(Folder.BLOBS),
)


@given(st.lists(st.one_of(*map(named, Folder)), unique=True))
def test_what_is_covered_is_what_another_one_has(names: list[ObjectName]) -> None:
    kept, covered = split_covered(names)
    assert sorted(kept + covered) == sorted(names)
    for name in names:
        others = [each for each in names if each != name and each.covers(name)]
        # Of objects that have the same, one stays: that of the first folder.
        stronger = [each for each in others if not name.covers(each) or each.folder < name.folder]
        assert (name in covered) == bool(stronger)


@given(hours)
def test_what_is_left_is_what_all_pairs_say(names: HourNames) -> None:
    def is_in(name: ObjectName, others: list[ObjectName]) -> bool:
        return any(each.covers(name) and each != name for each in others)

    assert names.uncopied == [
        group
        for group in sorted(names.groups, key=lambda each: (each.first_seq, -each.last_seq, -each.generation))
        if not is_in(group, names.segments) and not is_in(group, names.groups)
    ]
    for group in names.groups:
        lines = group._replace(folder=Folder.JETSTREAM)
        needs_lines = not any(each.covers(lines) for each in names.lines) and not is_in(group, names.groups)
        assert (group in names.unrendered) == (needs_lines and group not in names.quarantined)
    assert set(names.kept).isdisjoint(names.superfluous)
    assert {*names.kept, *names.superfluous} >= {*names.segments, *names.lines}


def test_a_single_group_and_its_segment_have_one_range() -> None:
    group = ObjectName(Folder.GROUPS, 1, 9)
    segment, lines = group._replace(folder=Folder.FIREHOSE), group._replace(folder=Folder.JETSTREAM)
    names = HourNames([group], [segment], [lines], [])
    assert (names.uncopied, names.unrendered, names.unjoined_lines) == ([], [], [lines])
    assert (names.kept, names.superfluous) == ([segment, lines], [group])


def test_groups_go_last() -> None:
    """Their names tell that something is to be done in this hour."""
    groups = [ObjectName(Folder.GROUPS, 1, 4), ObjectName(Folder.GROUPS, 5, 9)]
    small = [group._replace(folder=Folder.JETSTREAM) for group in groups]
    whole = [ObjectName(Folder.FIREHOSE, 1, 9), ObjectName(Folder.JETSTREAM, 1, 9)]
    names = HourNames(groups, whole[:1], sorted([*small, whole[1]]), [])
    assert names.superfluous == [*small, *groups]
    assert names.kept == whole


def test_the_checksum_tells_what_stays() -> None:
    names = HourNames([ObjectName(Folder.GROUPS, 1, 4)], [ObjectName(Folder.FIREHOSE, 1, 4)], [], [])
    assert names._replace(groups=[]).checksum == names.checksum
    assert names._replace(segments=[ObjectName(Folder.FIREHOSE, 1, 4, 1)]).checksum != names.checksum
    assert names._replace(quarantined=names.groups).checksum != names.checksum
