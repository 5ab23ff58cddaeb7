"""Following RelayState's changes: when something may have changed, before anything is read back, and to the end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from edgerelay.archive.batch import BatchBuilder, BatchHead
from edgerelay.archive.hiding import Visibility, VisibilityChange, encode_changes
from edgerelay.relay.accounts import hash_did
from edgerelay.relay.hidden import HiddenAccounts
from edgerelay.runtime.hidden_reader import HiddenReader
from edgerelay.runtime.replay import RelayAwayError
from tests.coroutines import finished
from tests.oracle import frames

PAGE = 2


def head_of(kind: str) -> BatchHead:
    builder = BatchBuilder(0)
    builder.add(1, kind, frames.did(1), (), b"x")
    return builder.build((), b"").head


class State:
    """RelayState, which tells two changes at a time."""

    def __init__(self) -> None:
        self.versions = [10, 20, 30]
        self.asked: list[int] = []
        self.problem = ""
        self.is_away = False
        self.hidden = HiddenAccounts()
        self.stored: list[int] = []
        self.reader = HiddenReader(self.hidden, self.ask, self.tell_stored)

    async def ask(self, after: int) -> bytes:
        self.asked.append(after)
        if self.is_away:
            raise RelayAwayError("stopped")
        if self.problem:
            raise OSError(self.problem)
        return encode_changes(changes([version for version in self.versions if version > after][:PAGE]))

    async def tell_stored(self) -> AsyncIterator[list[VisibilityChange]]:
        for version in self.stored:
            yield changes([version])


def changes(versions: list[int]) -> list[VisibilityChange]:
    return [VisibilityChange(version, hash_did(frames.did(version)), Visibility.DELETED) for version in versions]


def test_it_begins_with_all_of_them() -> None:
    state = State()
    assert state.reader.is_behind
    finished(state.reader.refresh())
    assert (state.asked, state.hidden.version, len(state.hidden)) == ([0, 20, 30], 30, 3)
    assert not state.reader.is_behind


def test_only_what_may_have_changed_something_asks_again() -> None:
    state = State()
    finished(state.reader.refresh())
    state.reader.saw(head_of("#commit"))
    assert not state.reader.is_behind
    state.reader.saw(head_of("#account"))
    assert state.reader.is_behind
    state.versions.append(40)
    finished(state.reader.refresh())
    assert state.hidden.version == 40
    state.reader.missed()
    assert state.reader.is_behind


def test_what_fails_leaves_it_behind() -> None:
    state = State()
    state.problem = "gone"
    with pytest.raises(OSError, match="gone"):
        finished(state.reader.refresh())
    assert (state.reader.is_behind, state.reader.is_asking) == (True, False)
    state.problem = ""
    finished(state.reader.refresh())
    assert state.hidden.version == 30


def test_nothing_may_be_read_back_while_it_asks() -> None:
    state = State()
    ask, seen = state.ask, []

    async def look(after: int) -> bytes:
        seen.append(state.reader.is_behind)
        return await ask(after)

    state.reader = HiddenReader(state.hidden, look, state.tell_stored)
    finished(state.reader.refresh())
    assert seen == [True] * 3
    assert not state.reader.is_behind


def test_what_changes_meanwhile_is_asked_for_too_and_holds_up_nobody() -> None:
    state = State()
    ask, state.versions = state.ask, [10]

    async def meanwhile(after: int) -> bytes:
        page = await ask(after)
        state.versions.append(state.versions[-1] + 10)
        state.reader.saw(head_of("#account"))
        return page if not after else encode_changes([])

    state.reader = HiddenReader(state.hidden, meanwhile, state.tell_stored)
    finished(state.reader.refresh())
    assert state.hidden.version == 10
    assert (state.reader.is_behind, state.reader.is_asking) == (True, False)


def test_while_relay_state_is_away_what_it_stored_counts_until_the_feed_is_back() -> None:
    state = State()
    state.is_away, state.stored = True, [10, 20]
    finished(state.reader.refresh())
    assert (state.hidden.version, len(state.hidden), state.reader.is_behind) == (20, 2, False)
    state.is_away = False
    state.reader.missed()
    finished(state.reader.refresh())
    assert (state.asked[-2:], len(state.hidden)) == ([20, 30], 3)
