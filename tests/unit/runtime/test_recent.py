"""What is remembered of what was used, and what is forgotten."""

from __future__ import annotations

from edgerelay.runtime.recent import Recent


def remembered(recent: Recent[int, str], up_to: int) -> list[int]:
    return [number for number in range(up_to) if number in recent]


def test_there_are_never_more_than_two_generations() -> None:
    recent: Recent[int, str] = Recent(3)
    for number in range(100):
        recent.add(number, str(number))
        assert 3 <= len(remembered(recent, 100)) <= 6 or number < 2
        assert recent.get(number) == str(number)
    assert remembered(recent, 100) == [96, 97, 98, 99]


def test_what_is_used_moves_on_to_the_newest_generation() -> None:
    recent: Recent[int, str] = Recent(3)
    for number in range(30):
        assert recent.get(0) == ("0" if number else None)
        recent.add(number, str(number))
    assert 0 in recent


def test_what_is_not_used_for_a_generation_is_forgotten() -> None:
    recent: Recent[int, str] = Recent(3)
    for number in range(6):
        recent.add(number, str(number))
    assert remembered(recent, 7) == [0, 1, 2, 3, 4, 5]
    recent.add(6, "6")
    assert (remembered(recent, 7), recent.get(0)) == ([3, 4, 5, 6], None)


def test_looking_whether_it_is_there_is_no_use() -> None:
    recent: Recent[int, str] = Recent(1)
    recent.add(0, "0")
    recent.add(1, "1")
    assert 0 in recent
    recent.add(2, "2")
    assert 0 not in recent


def test_the_newest_value_counts() -> None:
    recent: Recent[int, str] = Recent(2)
    recent.add(0, "old")
    recent.supersede({0: "new"})
    assert recent.get(0) == "new"
    recent.add(0, "newest")
    assert recent.get(0) == "newest"


def test_what_is_to_be_forgotten_is_in_neither_generation() -> None:
    recent: Recent[int, str] = Recent(1)
    for number in (0, 1):
        recent.add(number, str(number))
        recent.forget(number)
        assert (number in recent, recent.get(number)) == (False, None)
    recent.add(2, "2")
    recent.add(3, "3")
    recent.forget(2)
    assert (2 in recent, 3 in recent) == (False, True)
