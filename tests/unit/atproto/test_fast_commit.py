"""The fast path: it answers for the commonest commit, and never says anything else than the strict path does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cbor2 import CBORTag, dumps, loads
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.fast_commit import MAX_START_BYTES, read_common_commit
from edgerelay.atproto.frames import MAX_SEQ, Frame, decode_frame, renumber
from edgerelay.atproto.messages import MAX_COMMIT_BLOCKS_BYTES, Commit, parse_message
from tests import vectors
from tests.oracle import frames
from tests.playbook import exact

HEADER_BYTES = 15
DID, REV, SINCE = frames.did(7), frames.tid(2**60), frames.tid(2**59)
PATH = f"app.bsky.feed.like/{REV}"
LINK, OTHER = frames.link(b"one"), frames.link(b"another")
RAW_LINK = CBORTag(42, b"\x00\x01\x55\x12\x20" + bytes(32))

CREATE = {"action": "create", "path": PATH, "cid": LINK}
UPDATE = {"action": "update", "path": PATH, "cid": LINK, "prev": OTHER}
DELETE = {"action": "delete", "path": PATH, "cid": None, "prev": OTHER}


def commit(op: dict[str, Any] = CREATE, **fields: Any) -> bytes:
    """A commit of the commonest shape, unless `fields` make it another."""
    body = loads(frames.commit(31_527_015_322, DID, REV)[HEADER_BYTES:])
    usual = {"ops": [op], "since": SINCE, "prevData": OTHER, "blocks": bytes(300)}
    return frames.frame("#commit", {**body, **usual, **fields})


COMMON = {
    "create": commit(),
    "update": commit(UPDATE),
    "delete": commit(DELETE),
    "first": commit(since=None),
    "milliseconds": commit(time="2026-11-23T10:11:12.131Z"),
    "nanoseconds": commit(time="2026-11-23T10:11:12.131415Z"),
    "profile": commit({**CREATE, "path": "app.bsky.actor.profile/self"}),
    "three segments": commit({**CREATE, "path": f"com.example.thing/{REV}"}),
    "longest path": commit({**CREATE, "path": f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 49}/{REV}"}),
    **{f"seq {seq}": commit(seq=seq) for seq in (24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, MAX_SEQ)},
    **{
        f"blocks of {size}": commit(blocks=bytes(size))
        for size in (24, 255, 256, 65_535, 65_536, MAX_COMMIT_BLOCKS_BYTES)
    },
}

OTHERWISE = {
    "unknown field": commit(future=1),
    "no prevData": commit()[:HEADER_BYTES] + b"\xab" + commit()[HEADER_BYTES + 1 : -len(dumps({"prevData": LINK})) + 1],
    "no operation": commit(ops=[]),
    "two operations": commit(ops=[CREATE, {**CREATE, "path": f"app.bsky.feed.like/{SINCE}"}]),
    "a field more in the operation": commit({**CREATE, "x": 1}),
    "create with prev": commit({**CREATE, "prev": OTHER}),
    "create without cid": commit({**CREATE, "cid": None}),
    "update without prev": commit({**CREATE, "action": "update"}),
    "update without cid": commit({**UPDATE, "cid": None}),
    "delete with cid": commit({**DELETE, "cid": LINK}),
    "delete without prev": commit({"action": "delete", "path": PATH, "cid": None}),
    "another action": commit({**CREATE, "action": "rename"}),
    "blob": commit({**CREATE, "cid": RAW_LINK}),
    "raw commit": commit(commit=RAW_LINK),
    "raw prevData": commit(prevData=RAW_LINK),
    "blobs": commit(blobs=[LINK]),
    "rebase": commit(rebase=True),
    "tooBig": commit(tooBig=True),
    "did:web": commit(repo="did:web:example.com"),
    "upper case DID": commit(repo=DID.upper()),
    "short path": commit({**CREATE, "path": "a.b.c/self"}),
    "another record key": commit({**CREATE, "path": "com.example.thing/2026-11-23"}),
    "a record key of dots": commit({**CREATE, "path": "app.bsky.feed.generator/.."}),
    "no collection": commit({**CREATE, "path": f"app.bsky/{REV}/{REV}"}),
    "path of 256": commit({**CREATE, "path": f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 50}/{REV}"}),
    "a segment of 64": commit({**CREATE, "path": f"app.bsky.{'a' * 64}/{REV}"}),
    "rev": commit(rev="3" * 12),
    "rev beyond 63 bits": commit(rev="k" + REV[1:]),
    "since": commit(since="later"),
    "small seq": commit(seq=23),
    "seq 0": commit(seq=0),
    "seq beyond JavaScript": commit(seq=MAX_SEQ + 1),
    "negative seq": commit(seq=-300),
    "text for seq": commit(seq="5"),
    "no blocks": commit(blocks=b""),
    "short blocks": commit(blocks=bytes(23)),
    "too much in blocks": commit(blocks=bytes(MAX_COMMIT_BLOCKS_BYTES + 1)),
    "seconds": commit(time="2026-11-23T10:11:12Z"),
    "offset": commit(time="2026-11-23T10:11:12.131+01"),
    "month 13": commit(time="2026-13-23T10:11:12.131Z"),
    "day 32": commit(time="2026-11-32T10:11:12.131Z"),
    "hour 24": commit(time="2026-11-23T24:11:12.131Z"),
    "minute 60": commit(time="2026-11-23T10:60:12.131Z"),
    "another century": commit(time="1926-11-23T10:11:12.131Z"),
    "trailing bytes": commit() + b"\x00",
    "cut short": commit()[:-1],
    "another kind": frames.sync(300, DID, REV),
    "nothing": b"",
}


def agree(raw: bytes) -> bool:
    """Tell whether the fast path answers; if so, the strict path must say the same."""
    answer = read_common_commit(raw)
    if answer is None:
        return False
    frame, message = answer
    strict = decode_frame(raw)
    assert isinstance(strict, Frame)
    parsed = parse_message(strict.kind, strict.body)
    assert isinstance(parsed, Commit)
    assert exact([message, *message, *message.ops, *message.ops[0]]) == exact(
        [parsed, *parsed, *parsed.ops, *parsed.ops[0]]
    )
    assert (frame.kind, frame.raw, frame.body) == (strict.kind, strict.raw, strict.body)
    for seq in (1, 300, MAX_SEQ):
        assert renumber(frame, seq) == renumber(strict, seq)
    return True


@pytest.mark.parametrize("name", COMMON)
def test_it_answers_for_the_commonest_commits(name: str) -> None:
    assert agree(COMMON[name])


@pytest.mark.parametrize("name", OTHERWISE)
def test_it_does_not_answer_for_others(name: str) -> None:
    assert not agree(OTHERWISE[name])


def test_a_text_of_another_length_than_its_head_says() -> None:
    """The path ends where its length says, not where the next key seems to stand."""
    longer, shorter = b"\x78" + bytes([len(PATH) + 1]), b"\x78" + bytes([len(PATH) - 1])
    head = b"\x78" + bytes([len(PATH)]) + PATH.encode()
    for wrong in (longer, shorter):
        raw = commit().replace(head, wrong + PATH.encode())
        assert raw != commit()
        assert not agree(raw)


def test_a_number_in_a_longer_form_than_it_needs() -> None:
    for short, long in (
        (b"\x19\x01\x2c", b"\x1a\x00\x00\x01\x2c"),
        (b"\x19\x01\x2c", b"\x1b" + (300).to_bytes(8, "big")),
        (b"\x18\x18", b"\x19\x00\x18"),
    ):
        seq = loads(short)
        assert agree(commit(seq=seq))
        assert not agree(commit(seq=seq).replace(b"\x63seq" + short, b"\x63seq" + long))
    for short, long in ((b"\x59\x01\x2c", b"\x5a\x00\x00\x01\x2c"), (b"\x58\x18", b"\x59\x00\x18")):
        blocks = bytes(int.from_bytes(short[1:], "big"))
        assert not agree(commit(blocks=blocks).replace(b"\x66blocks" + short, b"\x66blocks" + long))


def test_the_longest_beginning_is_within_the_bound() -> None:
    longest = commit({**UPDATE, "path": f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 49}/{REV}"}, seq=MAX_SEQ)
    assert agree(longest)
    assert longest.index(b"\x66blocks") + 12 <= MAX_START_BYTES


def test_the_body_is_there_for_who_asks() -> None:
    answer = read_common_commit(commit())
    assert answer is not None
    frame, _ = answer
    assert frame.body == loads(commit()[HEADER_BYTES:])
    assert frame == decode_frame(commit())
    assert frame != Frame("#commit", {}, frame.raw)


bytes_of_note = st.sampled_from(
    [*b"\x00\x17\x18\x19\x1a\x1b\x1f\x3b\x58\x5a\x78\x80\x81\xa2\xa3\xa4\xab\xac\xd8\xf4\xf5\xf6\xff"]
)


@given(st.data(), st.sampled_from(sorted(COMMON)).filter(lambda name: len(COMMON[name]) < 2_000))
def test_changed_bytes_change_both_or_neither(data: st.DataObject, name: str) -> None:
    raw = bytearray(COMMON[name])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        match data.draw(st.sampled_from(["set", "note", "step", "insert", "delete", "double"])):
            case "set":
                raw[at] = data.draw(st.integers(0, 255))
            case "note":
                raw[at] = data.draw(bytes_of_note)
            case "step":
                raw[at] = (raw[at] + data.draw(st.sampled_from([-1, 1, 32]))) % 256
            case "insert":
                raw[at:at] = data.draw(st.binary(min_size=1, max_size=3))
            case "delete":
                del raw[at : at + data.draw(st.integers(1, 3))]
            case "double":
                raw[at:at] = raw[at : at + data.draw(st.integers(1, 40))]
    agree(bytes(raw))


texts = st.text(max_size=40) | st.sampled_from([DID, REV, SINCE, PATH, "create", "update", "delete", "self"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts | st.binary(max_size=40) | st.just(LINK),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("seq", "repo", "rev", "since", "time", "blobs", "blocks", "commit", "rebase", "tooBig", "prevData")


@given(
    st.sampled_from([CREATE, UPDATE, DELETE]),
    st.dictionaries(st.sampled_from(FIELDS), anything, max_size=2),
    st.dictionaries(st.sampled_from(["action", "path", "cid", "prev", "x"]), anything, max_size=2),
    st.booleans(),
)
def test_fields_of_any_kind(op: dict[str, Any], fields: dict[str, Any], more: dict[str, Any], canonical: bool) -> None:
    raw = commit({**op, **more}, **fields)
    if not canonical:
        raw = raw[:HEADER_BYTES] + dumps(loads(raw[HEADER_BYTES:]))
    agree(raw)


def test_every_single_byte_of_the_envelope() -> None:
    """All bytes of note at every place before and behind `blocks`."""
    raw = commit(UPDATE, blocks=bytes(30))
    answered = 0
    for at in range(len(raw)):
        for byte in {0x00, 0x18, 0x20, 0x2D, 0x58, 0x61, 0x78, 0x80, 0xA3, 0xF5, 0xFF, raw[at] ^ 1, raw[at] ^ 0x20}:
            answered += agree(raw[:at] + bytes([byte]) + raw[at + 1 :])
    assert answered > 100, "links and letters may be others"


@pytest.mark.parametrize(("name", "share"), [("pds1", 0.5), ("deep", 0.9), ("arroba", 0.0)])
def test_recorded_frames(shared_data: Path, name: str, share: float) -> None:
    recorded = vectors.capture(shared_data, name)
    answered = sum([agree(raw) for raw in recorded])
    assert answered >= share * len(recorded)


def test_frames_of_the_whole_network(shared_data: Path) -> None:
    recorded = vectors.recording(shared_data)
    answered = [agree(raw) for raw in recorded]
    assert (sum(answered), len(answered)) == (146, 150)


def malformed() -> Iterator[bytes]:
    """Every kind of malformed frame, several times over."""
    network = pytest.importorskip("edgerelay_dev.network")
    kinds = pytest.importorskip("edgerelay_dev.network.malformed")
    simulated = network.SimulatedNetwork(seed="fast", accounts=3)
    host = simulated.hosts[0]
    host.url = "http://pds.test"
    for _ in range(6):
        host.create_account()
    for _ in range(3):
        simulated.traffic.run(5)
        for name in kinds.MALFORMED:
            kinds.inject(host, name)
    yield from [each.frame for each in host.frames]


def test_malformed_frames() -> None:
    answered = [agree(raw) for raw in malformed()]
    assert any(answered)
