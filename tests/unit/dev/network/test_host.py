"""What a host emits, judged by the oracle and read field by field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from edgerelay.atproto.dagcbor import decode_pair
from edgerelay_dev.network.host import Host
from edgerelay_dev.network.log import Emitted
from edgerelay_dev.network.malformed import Fate
from edgerelay_dev.network.repository import Create, Delete, Update
from tests.unit.dev.network.conftest import START_US
from tests.unit.dev.network.stream_oracle import StreamOracle, unlink

YEAR_US = 365 * 24 * 3_600_000_000


def read(message: Emitted) -> tuple[str, dict[str, Any]]:
    header, body = decode_pair(message.frame)
    return unlink(header)["t"], unlink(body)


def kinds(messages: Sequence[Emitted]) -> list[str]:
    return [read(message)[0] for message in messages]


class Watch:
    """Judges everything that hosts emit at the moment that they emit it, with the directory as it is then."""

    def __init__(self, host: Host) -> None:
        self.verdicts: list[Fate] = []
        oracle = StreamOracle(host.directory.documents.get, host.url, lambda: START_US + YEAR_US)
        host.listeners.append(lambda message: self.verdicts.append(oracle.judge(message.frame)[0]))


@pytest.fixture
def watch(host: Host) -> Watch:
    return Watch(host)


def test_new_account_is_told_as_the_reference_pds_does(host: Host, watch: Watch) -> None:
    account = host.create_account()
    assert kinds(host.frames) == ["#identity", "#account", "#commit", "#sync"]
    bodies = [read(message)[1] for message in host.frames]
    assert [body["seq"] for body in bodies] == [1, 2, 3, 4]
    assert {body.get("did", body.get("repo")) for body in bodies} == {account.did}
    commit, sync = bodies[2:]
    assert (commit["ops"], commit["since"], "prevData" in commit) == ([], None, False)
    assert commit["rev"] == sync["rev"]
    # The #sync repeats the rev of the commit before it.
    assert watch.verdicts == [Fate.KEEP, Fate.KEEP, Fate.KEEP, Fate.REPEAT]


@pytest.mark.parametrize("curve", ["k256", "p256"])
def test_records_are_created_updated_and_deleted(host: Host, watch: Watch, curve: str) -> None:
    account = host.create_account(curve=curve)
    path = "app.bsky.feed.post/1"
    for write in (Create(path, {"text": "a"}), Update(path, {"text": "b"}), Delete(path)):
        host.commit(account, write)
    several = [Create(f"app.bsky.feed.post/{number}", {}) for number in range(2, 202)]
    host.commit(account, *several)
    host.commit(account)
    actions = [[op["action"] for op in read(message)[1]["ops"]] for message in host.frames[4:]]
    assert actions == [["create"], ["update"], ["delete"], ["create"] * 200, []]
    assert watch.verdicts[4:] == [Fate.KEEP] * 5


def test_same_seed_and_clock_give_the_same_bytes(new_host: Callable[[int], Host]) -> None:
    first, second = new_host(0), new_host(0)
    account = first.create_account()
    twin = second.create_account()
    assert (account.did, account.key.multikey) == (twin.did, twin.key.multikey)
    assert new_host(1).create_account().did != account.did


def test_accounts_take_curves_in_turn(host: Host) -> None:
    assert [host.create_account().key.curve.name for _ in range(5)] == ["k256", "k256", "k256", "p256", "k256"]


def test_handle_change_is_written_to_the_directory_first(host: Host) -> None:
    account = host.create_account("old.test")
    assert read(host.change_handle(account, "new.test"))[1]["handle"] == "new.test"
    assert host.directory.documents[account.did]["alsoKnownAs"] == ["at://new.test"]
    assert "handle" not in read(host.announce_identity(account, with_handle=False))[1]


@pytest.mark.parametrize("empty_commit", [False, True])
def test_rotated_key_signs_from_then_on(host: Host, watch: Watch, *, empty_commit: bool) -> None:
    account = host.create_account()
    messages = host.rotate_key(account, "p256", empty_commit=empty_commit)
    host.commit(account, Create("app.bsky.feed.post/1", {}))
    assert kinds(messages) == ["#identity", "#commit" if empty_commit else "#sync"]
    assert watch.verdicts[4:] == [Fate.KEEP] * 3


def test_account_that_returns_is_told_in_three_events(host: Host, watch: Watch) -> None:
    account = host.create_account()
    assert kinds(host.set_status(account, "deactivated")) == ["#account"]
    assert kinds(host.set_status(account, None)) == ["#account", "#identity", "#sync"]
    assert kinds(host.set_status(account, "takendown")) == ["#account"]
    assert kinds(host.set_status(account, None)) == ["#account"]
    host.commit(account, Create("app.bsky.feed.post/1", {}))
    assert watch.verdicts[-1] == Fate.KEEP


def test_deleted_account_leaves_one_event_behind(host: Host) -> None:
    kept = host.create_account()
    deleted = host.create_account()
    host.commit(kept, Create("app.bsky.feed.post/1", {}))
    message = host.delete_account(deleted)
    assert read(message)[1]["status"] == "deleted"
    assert [message.seq for message in host.frames] == [1, 2, 3, 4, 9, 10]


def test_deleted_account_can_be_left_in_the_stream(host: Host) -> None:
    host.delete_account(host.create_account(), purge=False)
    assert len(host.frames) == 5


def test_import_is_told_by_one_sync(host: Host, watch: Watch) -> None:
    account = host.create_account()
    message = host.import_records(account, [(f"app.bsky.feed.post/{number}", {}) for number in range(100)])
    host.commit(account, Delete("app.bsky.feed.post/50"))
    assert kinds([message]) == ["#sync"]
    assert watch.verdicts[-2:] == [Fate.KEEP, Fate.KEEP]


def test_sync_repeats_the_present_commit_unless_it_is_to_be_fresh(host: Host, watch: Watch) -> None:
    account = host.create_account()
    host.sync(account)
    host.sync(account, fresh=True)
    assert watch.verdicts[-2:] == [Fate.REPEAT, Fate.KEEP]


def test_account_moves_with_a_new_key(new_host: Callable[[int], Host]) -> None:
    source, target = new_host(0), new_host(1)
    account = source.create_account()
    watch = Watch(target)
    messages = target.take_over(account, source)
    target.commit(account, Create("app.bsky.feed.post/1", {}))
    assert kinds(messages) == ["#identity", "#account", "#sync"]
    assert watch.verdicts == [Fate.KEEP] * 4
    assert read(source.frames[-1])[1]["status"] == "deactivated"
    assert (account.did in source.accounts, target.accounts[account.did]) == (False, account)
    assert target.directory.documents[account.did]["service"][0]["serviceEndpoint"] == target.url


def test_account_can_move_as_the_reference_pds_moves_it(new_host: Callable[[int], Host]) -> None:
    source, target = new_host(0), new_host(1)
    account = source.create_account()
    sync = target.take_over(account, source, unsigned_import=True)[-1]
    head = account.repository.head
    assert head is not None
    assert read(sync)[1]["rev"] > head.rev
    commit = target.commit(account, Create("app.bsky.feed.post/1", {}))
    assert read(commit)[1]["since"] == head.rev


def test_did_web_names_the_host(host: Host) -> None:
    account = host.create_account(web=True)
    assert account.did == "did:web:localhost%3A2583"
    assert account.did in host.directory.documents
    with pytest.raises(ValueError, match="exists"):
        host.create_account(web=True)


def test_reset_loses_everything_and_starts_at_1(host: Host) -> None:
    account = host.create_account()
    host.reset_sequence()
    assert host.frames == []
    assert host.commit(account).seq == 1


def test_urls(host: Host) -> None:
    assert (host.hostname, host.ws_url) == ("localhost:2583", "ws://localhost:2583")
