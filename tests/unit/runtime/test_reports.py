"""What RelayState says of a host and of an account: what is counted, what is shown, and what is shown to nobody.

`World` is a node whose platform does nothing by itself. The last tests let a host send whatever it likes and look for
what it wrote in what is published.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from typing import Any

import pytest
from cbor2 import dumps
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.api.query import Subject
from edgerelay.archive.codec import ZlibCodec
from edgerelay.atproto.identity import Absence, Identity, parse_document
from edgerelay.atproto.keys import Curve, PublicKey
from edgerelay.atproto.messages import KINDS, LEGACY_KINDS
from edgerelay.atproto.signatures import SignatureCheck
from edgerelay.config import Settings
from edgerelay.relay.accounts import hash_did
from edgerelay.relay.events import Event, TimePassed
from edgerelay.relay.identities import IDENTITY_TTL_US, KnownIdentity
from edgerelay.relay.lookups import LookupAnswer
from edgerelay.relay.reject import TOLERABLE, RejectReason
from edgerelay.relay.rejections import FRAME_HEAD_BYTES, LATEST
from edgerelay.relay.relay import STORAGE_RETRY_US
from edgerelay.relay.vetting import LookupsDue, VettingEvent
from edgerelay.runtime.interpreter import Ports
from edgerelay.runtime.memory import (
    ManualClock,
    ManualTimer,
    MemoryDirectory,
    MemoryLog,
    MemoryObjects,
    MemoryQueue,
    MemoryShards,
    MemorySignatures,
    MemoryUpstream,
)
from edgerelay.runtime.node import Node
from edgerelay.runtime.reports import report
from edgerelay.runtime.sql import Sqlite
from tests.coroutines import finished, no_pause
from tests.oracle import frames

S_US = 1_000_000
ALICE, BOB = frames.did(1), frames.did(2)
HOST = "pds.test"
KEY = PublicKey(Curve.K256, b"\x02" + bytes(32))


class World:
    """A node that reads a PDS; its directory knows everybody, and every signature is right."""

    def __init__(self, **settings: str) -> None:
        self.clock = ManualClock(frames.NOW_US)
        self.sql = Sqlite()
        self.log = MemoryLog()
        self.upstream = MemoryUpstream(self.deliver)
        self.directory = MemoryDirectory(self.deliver)
        self.signatures = MemorySignatures(self.deliver)
        self.lookup_timer = ManualTimer(self.clock, lambda: self.deliver(LookupsDue()))
        ports = Ports(
            upstream=self.upstream,
            shards=MemoryShards(self.deliver),
            signatures=self.signatures,
            identities=self.directory,
            objects=MemoryObjects(),
            queue=MemoryQueue(),
            codec=ZlibCodec(),
            timer=ManualTimer(self.clock, lambda: self.deliver(TimePassed())),
            lookup_timer=self.lookup_timer,
            log=self.log,
            clock=self.clock,
            random=lambda: 0.0,
        )
        chosen = {"UPSTREAM": f"wss://{HOST}", "UPSTREAM_START": "oldest", "PLC_RPS": "10000", **settings}
        self.name = chosen["UPSTREAM"].partition("://")[2]
        self.node = Node(Settings.from_mapping(chosen), self.sql, ports)
        finished(self.node.recover(no_pause))
        self.deliver(TimePassed())
        self.upstream.accept(kind="pds")

    def deliver(self, event: Event | VettingEvent) -> None:
        self.node.turn(event)

    def close(self) -> None:
        self.sql.close()

    def receive(self, *some: bytes) -> None:
        """Frames arrive, are vetted as far as anybody answers, and flushed."""
        self.upstream.send(*some)
        while self.directory.inquiries or self.directory.statuses or self.signatures.batches:
            self.directory.answer(self.resolve)
            self.directory.tell(active=None)
            self.signatures.answer(self.is_right)
        self.clock.now_us += S_US
        self.deliver(TimePassed())

    def resolve(self, did: str) -> LookupAnswer:
        return Identity(did, KEY, f"https://{HOST}", None)

    def is_right(self, check: SignatureCheck) -> bool:
        return True

    def rejects(self, name: str | None = None, subject: Subject = Subject.REJECTS) -> Any:
        """The report as it crosses to whoever asked."""
        return json.loads(json.dumps(report(self.node, subject, self.name if name is None else name)))

    def counted(self) -> dict[str, int]:
        return {reason: each["count"] for reason, each in self.rejects()["reasons"].items() if each["count"]}

    def hosting(self, did: str) -> Any:
        return json.loads(json.dumps(report(self.node, Subject.HOSTING, did)))

    def account(self, did: str) -> Any:
        return json.loads(json.dumps(report(self.node, Subject.ACCOUNT, did)))


Make = Callable[..., World]


@pytest.fixture
def world() -> Iterator[Make]:
    """Makes worlds, by their settings."""
    made: list[World] = []

    def make(**settings: str) -> World:
        made.append(World(**settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


class TestWhichHost:
    @pytest.mark.parametrize("name", ["pds.test", "pds.test:443"])
    def test_the_host_that_is_read_by_its_name(self, world: Make, name: str) -> None:
        assert world().rejects(name)["host"] == HOST

    @pytest.mark.parametrize(
        "name",
        ["", "pds", "other.test", "pds.test:80", "pds.test.", "x@pds.test", "wss://pds.test", "pds.test/x", "\0"],
    )
    def test_no_other(self, world: Make, name: str) -> None:
        assert world().rejects(name) == {}
        assert world().rejects(name, Subject.REJECTED_FRAMES) == {}

    @pytest.mark.parametrize(
        ("upstream", "name"),
        [
            ("ws://127.0.0.1:2583", "127.0.0.1:2583"),
            ("ws://[::1]:2583", "[::1]:2583"),
            ("ws://pds.test", "pds.test:80"),
            ("wss://PDS.test:443", "pds.test"),
            ("wss://bücher.test", "bücher.test"),
        ],
    )
    def test_hosts_with_ports_and_odd_names(self, world: Make, upstream: str, name: str) -> None:
        assert world(UPSTREAM=upstream).rejects(name)["total"] == 0

    def test_a_relay_that_reads_none_knows_none(self, world: Make) -> None:
        lonely = world(UPSTREAM="")
        assert (lonely.rejects(""), lonely.rejects(HOST)) == ({}, {})


class TestRejects:
    def test_every_reason_is_there_from_the_start_and_says_what_it_means(self, world: Make) -> None:
        found = world().rejects()
        assert (found["kind"], found["total"], found["since"]) == ("pds", 0, frames.datetime_text(frames.NOW_US))
        assert found["reasons"] == {
            str(reason): {"meaning": reason.meaning, "count": 0, "tolerated": 0, "latest": []}
            for reason in RejectReason
        }

    def test_what_was_refused(self, world: Make) -> None:
        made = world()
        made.receive(frames.frame("#tombstone", {"seq": 1, "did": ALICE}), frames.identity(2, ALICE))
        found = made.rejects()
        assert (found["total"], made.counted()) == (1, {"legacy_kind": 1})
        assert found["reasons"]["legacy_kind"]["latest"] == [
            {
                "time": frames.datetime_text(frames.NOW_US),
                "detail": "#tombstone",
                "kind": "#tombstone",
                "seq": 1,
                "did": ALICE,
                "rev": "",
            }
        ]

    def test_what_happened_most_stands_first(self, world: Make) -> None:
        made = world()
        made.receive(*[b"\xa0", frames.frame("#label", {"seq": 1}), frames.frame("#label", {"seq": 2})])
        assert list(made.rejects()["reasons"])[:3] == ["unknown_kind", "bad_header", "text_frame"]

    def test_the_latest_examples_the_newest_first_and_no_more(self, world: Make) -> None:
        made = world()
        for seq in range(1, LATEST + 4):
            made.receive(frames.frame("#label", {"seq": seq}))
        latest = made.rejects()["reasons"]["unknown_kind"]["latest"]
        assert [each["seq"] for each in latest] == list(range(LATEST + 3, 3, -1))
        assert [each["time"] for each in latest] == sorted([each["time"] for each in latest], reverse=True)

    def test_counts_begin_anew_with_the_relay_and_say_when(self, world: Make) -> None:
        made = world()
        made.receive(b"\xa0", frames.identity(1, ALICE))
        made.sql.execute("CREATE TRIGGER full BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'no room'); END")
        failed_us = made.clock.now_us
        made.receive(frames.identity(2, ALICE))
        found = made.rejects()
        assert (found["total"], found["since"]) == (0, frames.datetime_text(failed_us))
        made.sql.execute("DROP TRIGGER full")
        made.clock.now_us += STORAGE_RETRY_US
        made.deliver(TimePassed())
        made.upstream.accept(kind="pds")
        made.receive(b"\xa0")
        assert made.rejects()["total"] == 1

    def test_what_a_lenient_relay_passes_on_is_counted_too(self, world: Make) -> None:
        made = world(VERIFY="lenient", IDENTITY_DEADLINE_S="1")
        made.resolve = lambda did: Absence.NOT_FOUND  # type: ignore[method-assign]  # whom nobody knows
        made.receive(frames.identity(1, ALICE))
        while made.lookup_timer.go_off():
            made.receive()
        found = made.rejects()
        tolerated = {reason: each["tolerated"] for reason, each in found["reasons"].items() if each["tolerated"]}
        assert (tolerated, found["total"]) == ({"no_identity": 1}, 0)
        assert RejectReason.NO_IDENTITY in TOLERABLE


class TestFrames:
    def test_the_operator_sees_the_newest_one_of_each_reason(self, world: Make) -> None:
        made = world()
        labels = [frames.frame("#label", {"seq": seq, "x": bytes(seq)}) for seq in (1, 2)]
        made.receive(*labels, b"\xa0")
        found = made.rejects(subject=Subject.REJECTED_FRAMES)
        shown = {reason: b64decode(each.pop("frame")) for reason, each in found["reasons"].items()}
        assert {reason: frame for reason, frame in shown.items() if frame} == {
            "unknown_kind": labels[1],
            "bad_header": b"\xa0",
        }
        assert found == made.rejects()

    def test_and_of_a_long_one_the_beginning(self, world: Make) -> None:
        made = world()
        long = frames.frame("#label", {"seq": 1, "x": bytes(2 * FRAME_HEAD_BYTES)})
        made.receive(long)
        found = made.rejects(subject=Subject.REJECTED_FRAMES)
        assert b64decode(found["reasons"]["unknown_kind"]["frame"]) == long[:FRAME_HEAD_BYTES]


def commit(seq: int, rev: int, since: int | None = None) -> bytes:
    return frames.commit(seq, ALICE, frames.tid(rev), since=None if since is None else frames.tid(since))


class TestAccounts:
    def test_one_that_was_never_heard_of(self, world: Make) -> None:
        assert world().account(ALICE) == {}

    def test_one_without_a_commit(self, world: Make) -> None:
        made = world()
        made.receive(frames.identity(1, ALICE))
        assert made.account(ALICE) == {"did": ALICE, "active": True}

    def test_one_with_commits_has_a_rev(self, world: Make) -> None:
        made = world(VERIFY="trusted")
        made.receive(
            frames.commit(1, ALICE, frames.tid(7)), frames.commit(2, ALICE, frames.tid(9), since=frames.tid(7))
        )
        assert made.account(ALICE) == {"did": ALICE, "active": True, "rev": frames.tid(9)}

    def test_one_that_lacks_a_commit_is_desynchronized(self, world: Make) -> None:
        made = world(VERIFY="trusted")
        made.receive(
            frames.commit(1, ALICE, frames.tid(7)), frames.commit(2, ALICE, frames.tid(9), since=frames.tid(8))
        )
        found = {"did": ALICE, "active": True, "status": "desynchronized", "rev": frames.tid(9)}
        assert made.account(ALICE) == found
        made.receive(frames.sync(3, ALICE, frames.tid(9)))
        del found["status"]
        assert made.account(ALICE) == found

    @pytest.mark.parametrize("status", ["takendown", "suspended", "deleted", "deactivated"])
    def test_one_that_its_host_took_out_has_a_status_and_no_rev(self, world: Make, status: str) -> None:
        made = world(VERIFY="trusted")
        made.receive(commit(1, 7), frames.account(2, ALICE, active=False, status=status))
        assert made.account(ALICE) == {"did": ALICE, "active": False, "status": status}
        assert made.account(BOB) == {}


# --- what is shown to nobody ------------------------------------------------------------------------------------------

SECRET = "dear diary / 3kxyz"
SECRET_PATH = "com.example.diary/3kxyz"
SECRETS = (SECRET, SECRET_PATH, "dear", "3kxyz")
ANYTHING = st.recursive(
    st.sampled_from([SECRET, SECRET_PATH, SECRET.encode(), None, True, 7, -1, ALICE, frames.tid(7)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([SECRET, "path", "cid"]), inner),
    max_leaves=6,
)
RIGHT = {
    "#commit": frames.parts(frames.commit(1, ALICE, frames.tid(7), paths=[SECRET_PATH]))[1],
    "#sync": frames.parts(frames.sync(1, ALICE, frames.tid(7)))[1],
    "#identity": frames.parts(frames.identity(1, ALICE, handle=SECRET))[1],
    "#account": frames.parts(frames.account(1, ALICE, status=SECRET))[1],
}


@st.composite
def sent(draw: st.DrawFn) -> bytes:
    """What a host may send: a right event with anything in its fields, under any header, cut or changed somewhere."""
    body = dict(RIGHT[draw(st.sampled_from(KINDS))])
    changed = draw(st.dictionaries(st.sampled_from([*body, "unknown", SECRET]), ANYTHING, max_size=3))
    for name in draw(st.sets(st.sampled_from(list(body)), max_size=1)):
        del body[name]
    kind = draw(st.sampled_from([*KINDS, *KINDS, *LEGACY_KINDS, "#label", SECRET, f"#{SECRET}", SECRET_PATH]))
    header = {"op": draw(st.sampled_from([1, 1, 1, 2, SECRET])), "t": kind}
    raw = dumps(header, canonical=True) + dumps({**body, **changed}, canonical=True)
    cut = draw(st.just(len(raw)) | st.integers(0, len(raw)))
    return raw[:cut] + draw(st.sampled_from([b"", b"", SECRET.encode()]))


def published(made: World) -> str:
    """Everything that anybody may see of what was refused, and what stands in the log about it."""
    return json.dumps([made.rejects(), made.log.named("refused")], ensure_ascii=False, default=str)


@given(st.lists(sent(), min_size=1, max_size=5), st.booleans(), st.sampled_from([HOST, "other.test"]))
def test_nothing_that_a_host_wrote_is_published(some: list[bytes], is_right: bool, pds: str) -> None:
    with closing(World()) as made:
        made.is_right = lambda check: is_right  # type: ignore[method-assign]  # whatever was signed
        made.resolve = lambda did: Identity(did, KEY, f"https://{pds}", None)  # type: ignore[method-assign]
        made.receive(*some)
        assert not [secret for secret in SECRETS if secret in published(made)]


def test_nothing_of_any_malformed_frame_is_published() -> None:
    """Every kind that the simulated network has, each signed, hashed and wrong in its one way."""
    pytest.importorskip("cryptography", reason="the simulated network signs with it")
    from edgerelay_dev.network.host import Host
    from edgerelay_dev.network.log import EventLog
    from edgerelay_dev.network.malformed import MALFORMED, inject
    from edgerelay_dev.network.plc import Directory
    from edgerelay_dev.network.subscription import StreamRules
    from edgerelay_dev.network.websocket import Opcode
    from edgerelay_dev.signatures import CryptographyChecker

    with closing(World(UPSTREAM="ws://localhost:2583", IDENTITY_DEADLINE_S="1")) as made:
        ticks = count()
        directory = Directory()
        host = Host(0, "reports", directory, lambda: made.clock.now_us + next(ticks), EventLog(), StreamRules())
        host.url = "http://localhost:2583"
        account = host.create_account()

        def resolve(did: str) -> LookupAnswer:
            if did in directory.tombstones:
                return Absence.TOMBSTONED
            document = directory.documents.get(did)
            return parse_document(did, json.dumps(document).encode()) if document else Absence.NOT_FOUND

        def is_right(check: SignatureCheck) -> bool:
            return asyncio.run(CryptographyChecker().check([check])) == [True]

        made.resolve, made.is_right = resolve, is_right  # type: ignore[method-assign]  # the network's own
        received = 0
        for name in MALFORMED:
            inject(host, name, account)
            for message in host.frames[received:]:
                if message.opcode == Opcode.TEXT:
                    made.upstream.send_text()
                else:
                    made.receive(message.frame)
            received = len(host.frames)
            while made.lookup_timer.go_off():
                made.receive()
            shown, head = published(made), host.frames[-1].frame[:24]
            assert not [each for each in ("app.bsky", "a note", "another note") if each in shown], name
            assert len(head) < 24 or b64encode(head).decode() not in shown, name
        assert set(RejectReason) - set(made.counted()) == {RejectReason.NO_SIGNING_KEY, RejectReason.UNUSABLE_IDENTITY}


class TestHosting:
    def known(self, made: World) -> World:
        """A node that has read the identity of an account that it has seen."""
        made.receive(frames.identity(1, ALICE))
        made.node.identities.put(hash_did(ALICE), KnownIdentity(KEY, f"https://{HOST}", made.clock()))
        return made

    def test_an_account_has_the_host_of_its_identity(self, world: Make) -> None:
        assert self.known(world()).hosting(ALICE) == {"did": ALICE, "active": True, "host": f"https://{HOST}"}

    def test_one_that_its_host_took_out_has_a_status(self, world: Make) -> None:
        made = self.known(world(VERIFY="trusted"))
        made.receive(frames.account(2, ALICE, active=False, status="takendown"))
        assert made.hosting(ALICE) == {"did": ALICE, "active": False, "status": "takendown"}

    def test_an_identity_that_is_too_old_is_none(self, world: Make) -> None:
        made = self.known(world())
        made.clock.now_us += IDENTITY_TTL_US + S_US
        assert made.hosting(ALICE) == made.account(ALICE)

    def test_an_account_without_an_identity(self, world: Make) -> None:
        made = world(VERIFY="trusted")
        made.receive(frames.identity(1, ALICE))
        assert made.hosting(ALICE) == made.account(ALICE) != {}

    def test_an_identity_alone_is_no_account(self, world: Make) -> None:
        made = self.known(world())
        made.node.identities.put(hash_did(BOB), KnownIdentity(KEY, f"https://{HOST}", made.clock()))
        assert made.hosting(BOB) == {}
