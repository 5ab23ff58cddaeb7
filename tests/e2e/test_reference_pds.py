"""Everything that the reference PDS emits arrives through the relay, and real clients accept it.

Each test runs twice: the clients read the PDS itself, which proves the test, and a relay whose upstream it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.firehose_readers import Frame, FrameReader, PythonReader, SyncReader
from tests.e2e.reference_pds import Account, ReferenceNetwork, install_peers, write
from tests.e2e.relays import FORGETFUL, Relay
from tests.e2e.subscriber import wait_until

pytestmark = pytest.mark.timeout(900)
"""The first test installs the peers if they are not installed yet, which takes a minute or two."""

POST, LIKE, PROFILE, NOTE = "app.bsky.feed.post", "app.bsky.feed.like", "app.bsky.actor.profile", "com.example.note"
MARK, END = "com.example.mark", "com.example.mark/end"
CREATED_AT = "2026-11-23T00:00:00.000Z"
PATIENCE_S = 60.0
"""The PDS looks at its own log once a second when it is idle; everything else takes milliseconds."""
ARCHIVE_LIMIT_S = 120.0
OPS_LIMIT = 200
"""The most operations that one commit may have."""
EVENTS_AFTER_CREATION = {
    "writer": [],
    "renamed": ["#identity new-name.test"],
    "paused": ["#account deactivated", "#account active", "#identity paused.test", "#sync"],
    "hidden": ["#account takendown", "#account active"],
    "rotated": ["#identity", "#sync"],
    "deleted": ["#account deleted"],
}
"""What `write_traffic` makes the PDS emit for each account, without commits and the four events of a creation."""


class Run(NamedTuple):
    """One recorded run of the traffic.

    Attributes:
        emitted: what the PDS emitted, read from the PDS by a plain reader.
        host: where the readers read: the PDS or the relay.
        accounts: who wrote, by name.
    """

    network: ReferenceNetwork
    host: str
    accounts: dict[str, Account]
    emitted: list[Frame]
    frames: FrameReader
    python: PythonReader
    sync: SyncReader

    @property
    def expected(self) -> list[Frame]:
        """What the host owes its readers: all that the PDS emitted, with the numbers that the host gave."""
        return renumbered(self.emitted, self.frames.frames)


@pytest.fixture(scope="module", params=["direct", "relay"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    install_peers()
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        network = stack.enter_context(ReferenceNetwork(folder / "network"))
        origin = websocket_url(network.pds_url)
        host = origin
        if request.param == "relay":
            relay = stack.enter_context(relay_of(network, folder / "state"))
            stack.enter_context(quoting_the_log_of(relay))
            host = websocket_url(relay.url)
        recorder = stack.enter_context(FrameReader(origin, cursor=0))
        frames = stack.enter_context(FrameReader(host, cursor=0))
        python = stack.enter_context(PythonReader(host, cursor=0))
        sync = stack.enter_context(SyncReader(host, 0, network.plc_url, folder / "sync"))

        def settle(account: Account, mark: str) -> None:
            """Return when everybody has read everything that was written so far.

            The mark comes last from the PDS alone: a relay keeps the order of each account, and no other.
            """
            account.create(MARK, mark)
            recorder.wait_for(f"{MARK}/{mark}", PATIENCE_S)
            frames.wait_for_frames(len(recorder.frames), PATIENCE_S)
            for reader in (python, sync):
                reader.wait_for_seq(newest_seq(frames), PATIENCE_S)

        accounts = write_traffic(network, settle)
        yield Run(network, host, accounts, recorder.frames, frames, python, sync)


def newest_seq(reader: FrameReader) -> int:
    """The number of the newest frame that @atproto/sync tells of: a commit without operations is nothing to it."""
    return next(frame.seq for frame in reversed(reader.frames) if frame.sync_events())


def relay_of(network: ReferenceNetwork, state: Path, **settings: str) -> Relay:
    """Return a relay, not started yet, that follows the PDS from its first event."""
    upstream = {"UPSTREAM": websocket_url(network.pds_url), "UPSTREAM_START": "oldest", "PLC_URL": network.plc_url}
    return Relay(state, {**upstream, **settings})


@contextmanager
def quoting_the_log_of(relay: Relay) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"The log of the relay ends with:\n{relay.log_tail()}")
        raise


def websocket_url(url: str) -> str:
    return url.replace("http://", "ws://")


def write_traffic(network: ReferenceNetwork, settle: Callable[[Account, str], None]) -> dict[str, Account]:
    """Do everything that an account can do; return the accounts by name."""
    accounts = {name: network.create_account(name) for name in EVENTS_AFTER_CREATION}
    write_records(accounts["writer"])
    write_batches(accounts["writer"])
    with ThreadPoolExecutor(len(accounts)) as pool:
        list(pool.map(write_posts, accounts.values()))

    accounts["renamed"].call("com.atproto.identity.updateHandle", {"handle": "new-name.test"})
    accounts["paused"].call("com.atproto.server.deactivateAccount", {})
    accounts["paused"].call("com.atproto.server.activateAccount")
    network.take_down(accounts["hidden"], applied=True)
    network.take_down(accounts["hidden"], applied=False)
    for name in ("renamed", "paused", "hidden"):
        write_posts(accounts[name])

    # A reader that checks signatures asks for the present key, and the PDS forgets what a deleted account did: from
    # here on nobody may be behind.
    settle(accounts["writer"], "before-the-point-of-no-return")
    network.rotate_key(accounts["rotated"])
    network.delete_account(accounts["deleted"])
    write_posts(accounts["rotated"])
    settle(accounts["writer"], "end")
    return accounts


def write_records(account: Account) -> None:
    """Create, update and delete records one by one."""
    account.put(PROFILE, "self", displayName="Writer")
    account.put(PROFILE, "self", displayName="Writer 🦋")
    post = account.create(POST, text="to be liked", createdAt=CREATED_AT)
    subject = {"uri": post["uri"], "cid": post["cid"]}
    account.create(LIKE, subject=subject, createdAt=CREATED_AT)
    account.create(LIKE, subject=subject, createdAt=CREATED_AT)
    account.create(NOTE, "odd.key~_:-", nested={"list": [1, -1, True, None, {"empty": {}}]}, text="naïve 日本語")
    account.create(NOTE, "large", text="x" * 100_000)
    account.delete(NOTE, "large")
    account.delete(POST, post["uri"].rpartition("/")[2])


def write_batches(account: Account) -> None:
    """Write commits of several operations, up to as many as the PDS allows."""
    keys = [f"item-{number:03}" for number in range(OPS_LIMIT)]
    account.apply([write("create", NOTE, key, text="first") for key in keys])
    account.apply([write("delete", NOTE, keys[0]), write("update", NOTE, keys[1]), write("create", NOTE, "a")])
    actions = ("update", "delete") * (OPS_LIMIT // 2)
    account.apply([write(action, NOTE, key) for action, key in zip(actions[2:], keys[2:], strict=True)])


def write_posts(account: Account, count: int = 10) -> None:
    for number in range(count):
        account.create(POST, text=f"post {number}", createdAt=CREATED_AT)


def test_the_recording_holds_everything_that_was_written(run: Run) -> None:
    for account in run.accounts.values():
        commits = [f for f in run.emitted if f.kind == "#commit" and f.did == account.did]
        first, rest = commits[0], commits[1:]
        assert (first.body["since"], first.paths) == (None, [])
        assert [frame.commit for frame in rest] == account.commits


def test_the_recording_holds_every_kind_of_event(run: Run) -> None:
    for name, expected in EVENTS_AFTER_CREATION.items():
        frames = [frame for frame in run.emitted if frame.did == run.accounts[name].did]
        assert [frame.kind for frame in frames[:4]] == ["#identity", "#account", "#commit", "#sync"]
        assert [frame.label for frame in frames[4:] if frame.kind != "#commit"] == expected
    assert max(len(frame.paths) for frame in run.emitted) == OPS_LIMIT


def test_the_pds_encodes_as_we_expect_it(run: Run) -> None:
    assert changes(run.emitted, [frame.renumbered(frame.seq) for frame in run.emitted]) == {}


def test_every_event_arrives_with_only_its_number_changed(run: Run) -> None:
    assert changes(run.frames.frames, run.expected) == {}


def renumbered(emitted: list[Frame], received: list[Frame]) -> list[Frame]:
    """Return what should have been received: for each account all that was emitted, in its order, with new numbers."""
    originals = by_account(emitted)
    assert_equal(outlines(by_account(received)), outlines(originals))
    waiting = {did: iter(frames) for did, frames in originals.items()}
    return [next(waiting[frame.did]).renumbered(frame.seq) for frame in received]


def by_account(frames: list[Frame]) -> dict[str, list[Frame]]:
    accounts: dict[str, list[Frame]] = {}
    for frame in frames:
        accounts.setdefault(frame.did, []).append(frame)
    return accounts


def outlines(accounts: dict[str, list[Frame]]) -> list[str]:
    return [frame.outline for did in sorted(accounts) for frame in accounts[did]]


def assert_equal(received: Sequence[object], expected: Sequence[object]) -> None:
    """Compare two long lists one by one, because nobody could read the difference of the whole."""
    for index, (one, other) in enumerate(zip_longest(received, expected)):
        assert one == other, f"the first difference is at {index}"


def changes(received: list[Frame], expected: list[Frame]) -> dict[str, list[str]]:
    """Return, for each frame that is not as expected, what is not."""
    pairs = zip(received, expected, strict=True)
    return {frame.outline: names for frame, wanted in pairs if (names := frame.differences(wanted))}


def test_sequence_numbers_increase(run: Run) -> None:
    numbers = [frame.seq for frame in run.frames.frames]
    assert numbers == sorted(set(numbers))


def test_the_python_client_sees_every_event(run: Run) -> None:
    assert run.python.errors == []
    assert_equal(run.python.events, [frame.event() for frame in run.expected])


def test_atproto_sync_accepts_every_event(run: Run) -> None:
    assert run.sync.errors == []
    events = [event for frame in run.expected for event in frame.sync_events()]
    assert_equal(run.sync.events, events)


def test_a_reader_that_comes_later_gets_the_same(run: Run) -> None:
    with FrameReader(run.host, cursor=0) as replay:
        replay.wait_for_seq(newest_seq(run.frames), PATIENCE_S)
    # Nobody owes the events of an account to those who come when it is deleted already.
    deleted = run.accounts["deleted"].did
    live = [frame for frame in run.frames.frames if frame.did != deleted]
    replayed = [frame for frame in replay.frames if frame.did != deleted]
    assert_equal([frame.outline for frame in replayed], [frame.outline for frame in live])
    assert changes(replayed, live) == {}


def test_atproto_sync_refuses_later_only_what_a_rotated_key_has_signed(run: Run, tmp_path: Path) -> None:
    frames = [frame for frame in run.frames.frames if frame.did != run.accounts["deleted"].did]
    rotated = [frame for frame in frames if frame.did == run.accounts["rotated"].did]
    rotation = max(frame.seq for frame in rotated if frame.kind == "#sync")
    outdated = [frame.seq for frame in rotated if frame.paths and frame.seq < rotation]

    with SyncReader(run.host, 0, run.network.plc_url, tmp_path) as late:
        late.wait_for_seq(newest_seq(run.frames), PATIENCE_S)
    assert [error["seq"] for error in late.errors] == outdated
    events = [event for event in late.events if event["did"] != run.accounts["deleted"].did]
    accepted = [event for frame in frames if frame.seq not in outdated for event in frame.sync_events()]
    assert_equal(events, accepted)


def test_a_relay_that_is_killed_while_the_pds_emits_loses_nothing(tmp_path: Path) -> None:
    install_peers()
    with ExitStack() as stack:
        network = stack.enter_context(ReferenceNetwork(tmp_path / "network"))
        relay = stack.enter_context(relay_of(network, tmp_path / "state"))
        stack.enter_context(quoting_the_log_of(relay))
        host = websocket_url(relay.url)
        recorder = stack.enter_context(FrameReader(websocket_url(network.pds_url), cursor=0))
        writer = network.create_account("writer")
        with FrameReader(host, cursor=0) as before:
            writing = stack.enter_context(ThreadPoolExecutor(1)).submit(write_around_a_mark, writer)
            before.wait_for(f"{MARK}/middle", PATIENCE_S)
            relay.kill()
        relay.start()
        writing.result()
        writer.create(MARK, "end")
        with FrameReader(host, cursor=before.frames[-1].seq) as after:
            after.wait_for(END, PATIENCE_S)
        recorder.wait_for(END, PATIENCE_S)

    # The cursor is inclusive: what was read last comes once more.
    assert after.frames[0] == before.frames[-1]
    frames = [*before.frames, *after.frames[1:]]
    assert changes(frames, renumbered(recorder.frames, frames)) == {}


def write_around_a_mark(account: Account) -> None:
    write_posts(account, 50)
    account.create(MARK, "middle")
    write_posts(account, 50)


def test_real_clients_read_from_the_beginning_what_the_log_has_forgotten(tmp_path: Path) -> None:
    install_peers()
    with ExitStack() as stack:
        network = stack.enter_context(ReferenceNetwork(tmp_path / "network"))
        relay = stack.enter_context(relay_of(network, tmp_path / "state", **FORGETFUL))
        stack.enter_context(quoting_the_log_of(relay))
        live = stack.enter_context(FrameReader(relay.ws_url, cursor=0))
        writer = network.create_account("writer")
        write_records(writer)
        write_batches(writer)
        writer.create(MARK, "start")
        live.wait_for(f"{MARK}/start", PATIENCE_S)

        def is_mostly_forgotten() -> bool:
            writer.create(NOTE, text="x" * 50_000)
            return relay.forgotten_up_to() > live.frames[len(live.frames) // 2].seq

        wait_until(is_mostly_forgotten, ARCHIVE_LIMIT_S, "the log has forgotten most of it")
        writer.create(MARK, "end")
        live.wait_for(END, PATIENCE_S)
        newest = live.frames[-1].seq
        with (
            FrameReader(relay.ws_url, cursor=0) as frames,
            PythonReader(relay.ws_url, cursor=0) as python,
            SyncReader(relay.ws_url, 0, network.plc_url, tmp_path / "sync") as sync,
        ):
            for reader in (frames, python, sync):
                reader.wait_for_seq(newest, PATIENCE_S)

    assert frames.frames == live.frames
    assert not python.errors
    assert not sync.errors
    assert_equal(python.events, [frame.event() for frame in live.frames])
    assert_equal(sync.events, [event for frame in live.frames for event in frame.sync_events()])
