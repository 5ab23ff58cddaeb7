"""Orders of the operator, carried out by a node: what is durable, what is said, and what a full storage does.

The last test gives orders by chance, while everybody else works on the same history.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.api.order import Action, Order
from edgerelay.archive.hiding import Visibility
from edgerelay.errors import EdgeRelayError
from edgerelay.relay.accounts import hash_did
from edgerelay.runtime.objects import ObjectStoreError
from edgerelay.runtime.orders import carry_out
from tests.annals import Annals
from tests.coroutines import finished, no_pause
from tests.oracle import frames
from tests.unit.runtime.test_node import World

ALICE = frames.did(1)
TAKEDOWN, RESTORE = Order(Action.TAKEDOWN, ALICE, "spam"), Order(Action.RESTORE, ALICE)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "state").live()
    yield made
    assert made.sqlite is not None
    made.sqlite.close()


def write(world: World, account: int = 1) -> None:
    world.happen("commit", account)
    world.send()
    world.wait(0.1)


def do(world: World, order: Order) -> dict[str, object]:
    return carry_out(world.node, order, world.clock.now_us)


def said(world: World) -> list[tuple[str, object]]:
    """Kind and, of those that have one, status of all that is durable."""
    found = [frames.parts(frame) for _, frame in world.durable()]
    return [(header["t"], body.get("status", body.get("active"))) for header, body in found]


def test_a_takedown_and_its_end_are_said_at_once_and_outlive_a_crash(world: World) -> None:
    write(world)
    assert do(world, TAKEDOWN) == {"action": "takedown", "did": ALICE, "active": False, "status": "takendown"}
    assert said(world) == [("#commit", None), ("#account", "takendown")]
    world.open()
    world.live()
    write(world)
    write(world, account=2)
    assert said(world)[2:] == [("#commit", None)], "the other account's"
    assert world.rejects == {"inactive_account": 1}
    (change,) = world.node.hidden.changes(0)
    assert (change.key, change.visibility) == (hash_did(ALICE), Visibility.TAKEN_DOWN_HERE)
    done = do(world, RESTORE)
    assert (done["active"], "status" in done) == (True, False)
    write(world)
    assert said(world)[3:] == [("#account", True), ("#commit", None)]
    assert [change.visibility for change in world.node.hidden.changes(0)] == [Visibility.SHOWN]
    assert [(entry.action, entry.did, entry.reason) for entry in world.node.audit.page()] == [
        ("restore", ALICE, ""),
        ("takedown", ALICE, "spam"),
    ]


def test_an_account_that_nobody_heard_of_can_be_taken_down(world: World) -> None:
    do(world, TAKEDOWN)
    write(world)
    assert said(world) == [("#account", "takendown")]


def test_what_is_decided_twice_is_said_twice_and_nothing_else(world: World) -> None:
    do(world, TAKEDOWN)
    do(world, TAKEDOWN)
    assert said(world) == [("#account", "takendown")] * 2
    assert len(world.node.hidden.changes(0)) == 1


def test_what_its_host_says_comes_back_with_the_restore(world: World) -> None:
    write(world)
    world.happen("account")  # its number is odd: not active
    world.send()
    world.wait(0.1)
    do(world, TAKEDOWN)
    assert do(world, RESTORE)["active"] is False


@pytest.mark.parametrize("writes", range(4))
def test_a_storage_that_refuses_decides_nothing_and_says_so(world: World, writes: int) -> None:
    write(world)
    world.sql.writes_left = writes
    try:
        do(world, TAKEDOWN)
    except EdgeRelayError:
        world.sql.writes_left = None
        world.open()
        account = world.node.accounts.get(hash_did(ALICE))
        assert account is not None
        assert (not account.active) == (said(world)[-1][0] == "#account"), "all of it, or nothing"
        is_hidden = bool(world.node.hidden.changes(0))
        assert is_hidden == (not account.active)
    else:
        assert writes > 1


def test_nothing_is_decided_in_what_may_be_an_old_copy(world: World) -> None:
    write(world)
    old = world.copy()
    world.live()
    write(world)
    world.wait(61)
    world.archive()
    world.objects.objects["state/hidden/0000000000000001"] = b"damaged"
    world.put_back(old)
    before = world.durable()
    with pytest.raises(ObjectStoreError):
        do(world, TAKEDOWN)
    assert (world.durable(), world.node.audit.page()) == (before, [])
    del world.objects.objects["state/hidden/0000000000000001"]
    assert finished(world.node.recover(no_pause))
    assert do(world, TAKEDOWN)["status"] == "takendown"


def test_it_is_in_the_bucket_soon_and_is_found_there(world: World) -> None:
    write(world)
    do(world, TAKEDOWN)
    assert world.node.hidden_export.is_due
    finished(world.node.hidden_export.run(no_pause))
    world.wait(61)
    world.archive()
    world.lose()
    account = world.node.accounts.get(hash_did(ALICE))
    assert account is not None
    assert account.local_status.word == "takendown"
    assert account.rev == 1
    (change,) = world.node.hidden.changes(0)
    assert change.visibility is Visibility.TAKEN_DOWN_HERE
    world.open()
    world.live()
    write(world)
    assert world.rejects == {"inactive_account": 1}
    do(world, RESTORE)
    assert world.node.relay.ledger.book.find(ALICE) is not None
    assert not world.node.hidden.changes(0)[0].visibility


def test_a_status_that_only_the_archive_tells_hides_after_a_loss(world: World) -> None:
    """The host's takedown was archived, and not exported yet."""
    write(world)
    frame = frames.account(world.host.newest + 1, ALICE, active=False, status="takendown", time_us=world.clock.now_us)
    world.upstream.send(frame)
    world.wait(61)
    world.archive()
    (before,) = world.node.hidden.changes(0)
    world.lose()
    assert world.node.hidden.changes(0) == [before]


def test_who_was_hidden_longer_ago_than_anything_is_kept_is_forgotten(world: World) -> None:
    frame = frames.account(1, frames.did(2), active=False, status="deleted", time_us=world.clock.now_us)
    world.upstream.send(frame)
    world.wait(0.1)
    do(world, TAKEDOWN)
    world.clock.now_us += (63 * 86_400 - 1) * 1_000_000
    world.node.forget_hidden()
    assert len(world.node.hidden.changes(0)) == 2
    world.clock.now_us += 1_000_000
    world.node.forget_hidden()
    assert [change.visibility for change in world.node.hidden.changes(0)] == [Visibility.TAKEN_DOWN_HERE]


NAMES = ("archivist", "purger", "purger", "export", "archiver", "compaction", "compaction", "sweep")
WAITS_S = (1, 61, 61, 600, 1_000, 1_300, 4_000, 4_000, 100_000)
ACTIONS = (
    *("write", "write", "order", "order", "begin", "begin", "go", "go", "go", "fail", "kill", "join", "look", "look"),
    *("work", "work", "work", "strike", "strike", "purge", "wait", "wait", "wait", "fill", "heal", "crash"),
)


def act(annals: Annals, chance: Random) -> None:
    """Something happens."""
    number, name = chance.randrange(1_000), chance.choice(NAMES)
    match action := chance.choice(ACTIONS):
        case "write":
            annals.write(chance.choices(range(1, 5), k=chance.randint(1, 4)))
        case "order":
            annals.order(chance.choice([*Action, Action.PURGE]), chance.randint(1, 3))
        case "begin" | "work":
            getattr(annals, action)(name, number)
        case "strike":
            annals.strike(name, chance.randint(0, 40), chance.random() < 1 / 2)
        case "go":
            annals.go(number, chance.randint(1, 40))
        case "purge":
            annals.purge(chance.choice([2, 10, 40]))
        case "wait":
            annals.wait(chance.choice(WAITS_S))
        case "heal" | "crash":
            getattr(annals, action)()
        case _:
            getattr(annals, action)(number)


@given(st.integers(0, 2**32), st.integers(20, 60))
def test_whoever_works_fails_or_is_killed_readers_get_what_they_may_and_what_is_purged_is_gone(
    seed: int, steps: int
) -> None:
    chance = Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgerelay.runtime.purger.STEP_OBJECTS", 2)
        patch.setattr("edgerelay.runtime.sweep.SWEEP_OBJECTS", 2)
        annals = Annals()
        for _ in range(3):
            annals.write([1, 2, 3, 4])
            annals.wait(61)
            annals.work("archivist")
        for _ in range(steps):
            act(annals, chance)
        annals.end()
        annals.check()
