"""The purger: in the end no object and no row has the bytes, whatever fails or is killed, and readers find the rest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.archive.batch import Batch, decode_head
from edgerelay.archive.codec import ZlibCodec
from edgerelay.archive.container_index import Stream
from edgerelay.archive.firehose_block import open_batch
from edgerelay.archive.object_names import Folder, ObjectName, own_names
from edgerelay.runtime.audit import Audit
from edgerelay.runtime.container_objects import read_block, read_index
from edgerelay.runtime.purger import REST_US, SETTLE_US, Purger
from edgerelay.runtime.purges import Purge, Purges
from tests.coroutines import finished, no_pause
from tests.effects import Effects, LedObjects
from tests.histories import NOON_US, Past

DID = "did:plc:3"
CODEC = ZlibCodec()
FRAMES = (Folder.GROUPS, Folder.FIREHOSE)


class Stand:
    """A past with seven accounts, and a purger that can be killed."""

    def __init__(self) -> None:
        self.past = Past(stop_bytes=400)
        self.audit = Audit(self.past.sql)
        self.effects = Effects()
        self.open()

    def open(self) -> None:
        """The object starts."""
        self.past.open()
        past = self.past
        purges = self.purges = Purges(past.sql)
        self.purger = Purger(
            LedObjects(self.effects, past.objects),
            {CODEC.id: CODEC},
            purges,
            self.audit,
            lambda: past.log,
            past.lines,
            past.clock,
        )

    def step(self) -> None:
        self.past.clock.now_us += REST_US
        finished(self.purger.run(no_pause))

    def run(self) -> None:
        """Until nothing is left to be done."""
        for _ in range(500):
            if self.purger.is_due:
                self.step()
            elif self.audit.page():
                return
            else:
                self.past.clock.now_us += SETTLE_US
        raise AssertionError("it never ends")

    def strike_after(self, effects: int, *, is_kill: bool) -> bool:
        """Go on for so many effects, and be killed or fail there; False if it has come to an end before."""
        while not self.audit.page():
            self.past.clock.now_us += REST_US if self.purger.is_due else SETTLE_US
            led = self.effects.lead(self.purger.run(self.effects.pause))
            while led.point and effects:
                led.go()
                effects -= 1
            if led.point and is_kill:
                led.kill()
                self.open()
                return True
            if led.point:
                led.fail()
                led.go_to_end()
                return True
        return False

    def close(self) -> None:
        self.past.close()

    @property
    def row(self) -> Purge:
        """How far the account's purge is."""
        row = self.purges.find(DID)
        assert row is not None
        return row

    @property
    def purged(self) -> list[tuple[int, bytes]]:
        """What is to be left: the account's events have no bytes."""
        return [(seq, b"" if seq % 7 == 3 else frame) for seq, frame in self.past.events]

    def kept(self) -> list[tuple[int, bytes]]:
        """What readers find."""
        replay, found, cursor = self.past.replay(), list[tuple[int, bytes]](), 1
        while True:
            history = finished(replay.find(cursor))
            assert history.missing_up_to < cursor
            if history.batch is None:
                return found
            assert isinstance(history.batch, Batch)
            found += [(seq, frame) for seq, frame in history.batch.split() if seq >= cursor]
            cursor = history.batch.head.last_seq + 1

    def holders(self) -> list[str]:
        """Objects and rows of the log that have something of the account; what is forgotten may still be in its row."""
        found = []
        for key in [name.key for name in own_names(self.past.objects.objects) if name.folder in FRAMES]:
            index = finished(read_index(self.past.objects, key))
            for block in index.blocks:
                batch = open_batch(finished(read_block(self.past.objects, key, block)), {CODEC.id: CODEC})
                if DID in batch.head.dids:
                    found.append(key)
        heads = [decode_head(raw) for (raw,) in self.past.sql.execute("SELECT head FROM log WHERE part = 0")]
        return found + [str(head.first_seq) for head in heads if DID in head.dids]


@pytest.fixture
def stand() -> Iterator[Stand]:
    made = Stand()
    yield made
    made.close()


def test_nothing_is_due_before_an_order(stand: Stand) -> None:
    stand.past.write(*[1] * 20)
    assert not stand.purger.is_due
    stand.step()
    assert stand.kept() == stand.past.events


def test_log_and_archive_are_purged_and_the_audit_says_so(stand: Stand) -> None:
    past = stand.past
    for _ in range(4):
        past.write(*[1] * 15)
    past.archive()
    past.write(*[1] * 5)
    groups = [ObjectName.parse(key) for key in sorted(past.objects.objects)]
    assert stand.holders()
    stand.purger.order(DID)
    stand.run()
    assert stand.holders() == []
    assert stand.kept() == stand.purged
    assert [ObjectName.parse(key) for key in sorted(past.objects.objects)] == [
        name._replace(generation=1) for name in groups
    ]
    (entry,) = stand.audit.page()
    assert (entry.action, entry.did, entry.reason) == ("purged", DID, "4 objects were rewritten")
    assert not stand.purger.is_due


def test_those_who_wait_share_a_pass_and_who_comes_later_shares_a_later_one(stand: Stand) -> None:
    def passes() -> set[tuple[int, str]]:
        rows = [row for number in (2, 3, 4) if (row := stand.purges.find(f"did:plc:{number}"))]
        return {(row.begun_us, row.after) for row in rows if row.after}

    stand.past.write(*[1] * 15)
    stand.past.archive_all()
    most = 0
    for number in (2, 3):
        stand.purger.order(f"did:plc:{number}")
    for step in range(60):
        stand.past.clock.now_us += 0 if stand.purger.is_due else SETTLE_US
        stand.step()
        most = max(most, len(passes()))
        if step == 2:
            assert len(passes()) == 1
            stand.purger.order("did:plc:4")
    assert most == 1, "no pass is made for one of them alone"
    assert {entry.did for entry in stand.audit.page()} == {"did:plc:2", "did:plc:3", "did:plc:4"}


def test_of_what_some_have_together_nothing_is_left_and_each_is_told_its_own(stand: Stand) -> None:
    stand.past.write(*[1] * 15)
    stand.past.archive_all()
    for account in (2, 3, 4):
        stand.purger.order(f"did:plc:{account}")
    while len(stand.audit.page()) < 3:
        stand.past.clock.now_us += 0 if stand.purger.is_due else SETTLE_US
        stand.step()
    assert {entry.reason for entry in stand.audit.page()} == {"1 objects were rewritten"}
    (key,) = stand.past.objects.objects
    assert ObjectName.parse(key).generation == 3
    assert stand.kept() == [(seq, b"" if seq % 7 in (2, 3, 4) else frame) for seq, frame in stand.past.events]


def test_objects_without_the_account_are_not_touched(stand: Stand) -> None:
    stand.past.write(*[1] * 15)
    stand.past.archive()
    before = dict(stand.past.objects.objects)
    stand.purger.order("did:plc:nobody")
    stand.run()
    assert stand.past.objects.objects == before
    assert stand.audit.page()[0].reason == "0 objects were rewritten"


def test_what_somebody_copied_meanwhile_is_found_by_the_last_pass(stand: Stand) -> None:
    stand.past.write(*[1] * 15)
    stand.past.archive()
    ((key, data),) = stand.past.objects.objects.items()
    stand.purger.order(DID)
    while list(stand.past.objects.objects) == [key]:
        stand.step()
    copied = key.replace(Folder.GROUPS, Folder.FIREHOSE)
    stand.past.objects.objects[copied] = data
    assert stand.holders()
    stand.run()
    assert stand.holders() == []


def test_a_pass_that_finds_nothing_is_the_last_only_if_nobody_holds_anything(stand: Stand) -> None:
    stand.past.write(*[1] * 15)
    stand.past.archive()
    held = dict(stand.past.objects.objects)
    stand.past.objects.objects.clear()
    stand.purger.order(DID)
    for _ in range(4):
        stand.step()
    assert not stand.purger.is_due, "it rests until the last pass"
    stand.past.objects.objects.update(held)
    stand.run()
    assert stand.holders() == []


def test_a_purge_ends_when_it_is_restored_and_the_next_one_does_not_wait_for_another(stand: Stand) -> None:
    stand.past.write(*[1] * 15)
    stand.past.archive()
    stand.purger.order("did:plc:1")
    for _ in range(4):
        stand.step()
    assert not stand.purger.is_due, "it rests until the last pass"
    stand.purger.order(DID)
    assert stand.purger.is_due
    for _ in range(4):
        stand.step()
    assert stand.holders() == []
    stand.purger.cancel(DID)
    stand.run()
    assert [entry.did for entry in stand.audit.page()] == ["did:plc:1"]


def test_what_is_damaged_is_said_and_the_others_are_purged(stand: Stand) -> None:
    for _ in range(3):
        stand.past.write(*[1] * 15)
    stand.past.archive()
    keys = sorted(stand.past.objects.objects)
    whole = stand.past.objects.objects[keys[1]]
    damaged = bytearray(whole)
    damaged[70] ^= 1
    stand.past.objects.objects[keys[1]] = bytes(damaged)
    stand.purger.order(DID)
    for _ in range(5):
        stand.step()
    ((problem,),) = [line.values() for line in stand.past.lines.named("purge_failed")]
    assert str(problem).startswith(keys[1])
    assert [ObjectName.parse(key).generation for key in sorted(stand.past.objects.objects)] == [1, 0, 1]
    stand.past.clock.now_us += SETTLE_US
    for _ in range(5):
        stand.step()
    assert stand.audit.page() == [], "nobody knows what is in it"
    stand.past.objects.objects[keys[1]] = whole
    stand.run()
    assert stand.holders() == []


def test_damage_in_what_one_has_holds_up_no_other(stand: Stand) -> None:
    for gaps in ([7] * 15, [7] * 15, [2]):  # of account 1, again, and of account 3
        stand.past.write(*gaps)
        stand.past.archive_all()
    damaged = max(stand.past.objects.objects)
    data = bytearray(stand.past.objects.objects[damaged])
    data[70] ^= 1
    stand.past.objects.objects[damaged] = bytes(data)
    for number in (1, 3):
        stand.purger.order(f"did:plc:{number}")
    for _ in range(40):
        stand.past.clock.now_us += 0 if stand.purger.is_due else SETTLE_US
        stand.step()
    assert [(entry.did, entry.reason) for entry in stand.audit.page()] == [("did:plc:1", "2 objects were rewritten")]
    assert stand.row.objects == 0


def test_a_bucket_that_is_down_is_asked_again_after_a_pause(stand: Stand) -> None:
    stand.past.write(*[1] * 15)
    stand.past.archive()
    stand.purger.order(DID)
    stand.past.objects.problem = "down"
    for _ in range(5):
        stand.step()
    assert stand.past.lines.named("purge_failed") == [{"problem": "down"}]
    stand.past.objects.problem = ""
    stand.run()
    assert stand.holders() == []


def test_an_object_under_the_name_of_what_it_would_become_is_not_lost(stand: Stand) -> None:
    stand.past.write(*[1] * 15)
    stand.past.archive()
    ((key, data),) = stand.past.objects.objects.items()
    renamed = key.replace(".g0.", ".g1.")
    stand.past.objects.objects = {renamed: data}
    stand.purger.order(DID)
    for _ in range(4):
        stand.step()
    assert stand.past.objects.objects == {renamed: data}
    assert "generation 0" in str(stand.past.lines.named("purge_failed")[0]["problem"])


def test_the_stream_and_the_positions_stay(stand: Stand) -> None:
    stand.past.write(*[1] * 15)
    stand.past.archive()
    (key,) = stand.past.objects.objects
    before = finished(read_index(stand.past.objects, key))
    stand.purger.order(DID)
    stand.run()
    (key,) = stand.past.objects.objects
    after = finished(read_index(stand.past.objects, key))
    assert (after.stream, after.generation) == (Stream.FIREHOSE, 1)
    assert (after.prev_seq, after.first_seq, after.last_seq) == (before.prev_seq, before.first_seq, before.last_seq)
    assert after.prev_seq == 0
    assert after.first_seq == NOON_US + 1


def test_what_is_joined_while_a_pass_stands_still_is_found(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """RelayState was away in the middle of the last pass, for longer than it takes to join an hour."""
    monkeypatch.setattr("edgerelay.runtime.purger.STEP_OBJECTS", 1)
    past = stand.past
    for remainder in (0, 10):  # of an account without a number; of the account, and without a line
        past.write(past.clock.now_us // 35 * 35 + 35 + remainder - (past.log.last_seq or NOON_US))
        past.archive_all()
    slow = stand.holders()[0]
    data = past.objects.objects.pop(slow)
    stand.purger.order(DID)
    while stand.row.begun_us < stand.row.changed_us + SETTLE_US:
        stand.step()
    past.clock.now_us += SETTLE_US
    past.objects.objects[slow] = data  # somebody was slow to store what he had read
    while not stand.row.after.startswith(Folder.GROUPS):
        stand.step()
    assert stand.holders()
    past.compact_all()
    stand.run()
    assert stand.holders() == []


def test_who_is_purged_again_while_a_pass_ends_is_purged_again(stand: Stand) -> None:
    stand.past.write(*[1] * 15)
    stand.past.archive()
    stand.purger.order(DID)
    while stand.row.begun_us < stand.row.changed_us + SETTLE_US:
        stand.step()
    stand.past.clock.now_us += SETTLE_US
    stand.step()
    stand.past.clock.now_us += REST_US
    last = stand.effects.lead(stand.purger.run(stand.effects.pause))
    stand.past.write(*[1] * 15)
    stand.purger.order(DID)
    last.go_to_end()
    assert stand.audit.page() == []
    stand.run()
    assert stand.holders() == []


@pytest.mark.parametrize("is_kill", [True, False], ids=["killed", "failed"])
def test_wherever_it_is_struck_nobody_else_loses_anything_and_all_of_it_goes(is_kill: bool) -> None:
    is_struck, effects = True, 0
    while is_struck:
        stand = Stand()
        for _ in range(3):
            stand.past.archive_all()
            stand.past.write(*[1] * 9)
        assert stand.past.log.missing_up_to, "some of it is in the archive only"
        stand.purger.order(DID)
        is_struck = stand.strike_after(effects, is_kill=is_kill)
        others = [event for event in stand.past.events if event[0] % 7 != 3]
        assert [event for event in stand.kept() if event[0] % 7 != 3] == others
        stand.run()
        assert stand.holders() == []
        assert stand.kept() == stand.purged
        stand.close()
        effects += 1
    assert effects > 20


STEPS = st.lists(
    st.one_of(
        st.sampled_from(["step", "step", "wait", "open", "refused", "lost", "down"]),
        st.integers(0, 6),
    ),
    max_size=25,
)


@given(STEPS, st.integers(1, 5))
def test_whatever_happens_in_the_end_nobody_has_it(steps: list[str | int], batches: int) -> None:
    stand = Stand()
    past = stand.past
    for _ in range(batches):
        past.write(*[1] * 9)
        past.archive()
    stand.purger.order(DID)
    for step in steps:
        match step:
            case int():
                with past.sql.crash_after(step):
                    stand.step()
                stand.open()
            case "step":
                stand.step()
            case "wait":
                past.clock.now_us += SETTLE_US
            case "open":
                stand.open()
            case "down":
                past.objects.problem = "down"
                stand.step()
                past.objects.problem = ""
            case str(fault):
                past.objects.faults.append(fault)
    past.objects.faults.clear()
    if not stand.audit.page():
        stand.run()
    assert stand.holders() == []
    assert stand.kept() == stand.purged
    assert {entry.did for entry in stand.audit.page()} == {DID}
    stand.close()
