"""Messages: every field of every kind, present, absent, of another type and out of bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cbor2 import CBORTag
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.cid import cid_for_raw, cid_from_link, cid_to_link
from edgerelay.atproto.dagcbor import Value
from edgerelay.atproto.frames import MAX_SEQ, Frame, decode_frame
from edgerelay.atproto.messages import (
    KINDS,
    LEGACY_KINDS,
    MAX_COMMIT_BLOCKS_BYTES,
    MAX_OPS,
    MAX_SYNC_BLOCKS_BYTES,
    Account,
    Commit,
    Identity,
    Info,
    MessageError,
    RepoOp,
    Sync,
    parse_info,
    parse_message,
    read_seq,
)
from tests import vectors
from tests.oracle import frames

DID, REV, SINCE = frames.did(1), frames.tid(2**60), frames.tid(2**59)
TIME = frames.datetime_text(frames.NOW_US)
PATH = "app.bsky.feed.post/3kabcdefghijk"
OLD, NEW, LINK = frames.link(b"old"), frames.link(b"new"), frames.link(b"commit")
OP: dict[str, Any] = {"action": "update", "path": PATH, "cid": NEW, "prev": OLD}
BODIES: dict[str, dict[str, Any]] = {
    "#commit": {
        "seq": 7,
        "repo": DID,
        "rev": REV,
        "since": SINCE,
        "time": TIME,
        "ops": [OP],
        "blobs": [],
        "blocks": b"car",
        "commit": LINK,
        "rebase": False,
        "tooBig": False,
        "prevData": OLD,
    },
    "#sync": {"seq": 7, "did": DID, "rev": REV, "time": TIME, "blocks": b"car"},
    "#identity": {"seq": 7, "did": DID, "time": TIME, "handle": "alice.test"},
    "#account": {"seq": 7, "did": DID, "time": TIME, "active": False, "status": "deleted"},
}
OPTIONAL = {("#commit", "prevData"), ("#identity", "handle"), ("#account", "status")}
FIELDS = [(kind, name) for kind, body in BODIES.items() for name in body]
REQUIRED = [field for field in FIELDS if field not in OPTIONAL]
ALICE_COMMIT = Commit(
    7,
    DID,
    REV,
    SINCE,
    cid_from_link(LINK),
    b"car",
    (RepoOp("update", PATH, cid_from_link(NEW), cid_from_link(OLD)),),
    cid_from_link(OLD),
    TIME,
)


def problem(kind: str, **changed: Value) -> tuple[str, str]:
    """What is wrong with a message that was right before `changed`."""
    with pytest.raises(MessageError) as raised:
        parse_message(kind, {**BODIES[kind], **changed})
    assert str(raised.value) == f"{raised.value.code.replace('_', ' ')}: {raised.value.field}"
    return raised.value.code, raised.value.field


def op_problem(**changed: Value) -> tuple[str, str]:
    return problem("#commit", ops=[OP, {**OP, **changed}])


class TestRight:
    def test_a_commit(self) -> None:
        assert parse_message("#commit", BODIES["#commit"]) == ALICE_COMMIT

    def test_a_first_commit_has_no_past(self) -> None:
        body = {**BODIES["#commit"], "since": None, "ops": []}
        del body["prevData"]
        assert parse_message("#commit", body) == ALICE_COMMIT._replace(since=None, prev_data=None, ops=())

    def test_a_sync(self) -> None:
        assert parse_message("#sync", BODIES["#sync"]) == Sync(7, DID, REV, b"car", TIME)

    @pytest.mark.parametrize("handle", ["alice.test", "handle.invalid", None])
    def test_an_identity(self, handle: str | None) -> None:
        body = {name: value for name, value in BODIES["#identity"].items() if name != "handle"}
        assert parse_message("#identity", body | ({"handle": handle} if handle else {})) == Identity(
            7, DID, handle, TIME
        )

    @pytest.mark.parametrize(
        ("active", "status"), [(True, None), (False, "deleted"), (False, "new"), (True, "throttled")]
    )
    def test_an_account(self, active: bool, status: str | None) -> None:
        body: dict[str, Value] = {"seq": 7, "did": DID, "time": TIME, "active": active}
        if status:
            body["status"] = status
        assert parse_message("#account", body) == Account(7, DID, active, status, TIME)

    @pytest.mark.parametrize("kind", KINDS)
    def test_unknown_fields_are_allowed(self, kind: str) -> None:
        assert parse_message(kind, {**BODIES[kind], "new": [1]}) == parse_message(kind, BODIES[kind])

    @pytest.mark.parametrize(
        ("op", "parsed"),
        [
            ({"action": "create", "path": PATH, "cid": NEW}, RepoOp("create", PATH, cid_from_link(NEW), None)),
            (
                {"action": "delete", "path": PATH, "cid": None, "prev": OLD},
                RepoOp("delete", PATH, None, cid_from_link(OLD)),
            ),
        ],
    )
    def test_operations(self, op: dict[str, Value], parsed: RepoOp) -> None:
        commit = parse_message("#commit", {**BODIES["#commit"], "ops": [op]})
        assert isinstance(commit, Commit)
        assert commit.ops == (parsed,)

    @pytest.mark.parametrize("field", ["tooBig", "rebase"])
    def test_deprecated_flags_mean_nothing(self, field: str) -> None:
        assert parse_message("#commit", {**BODIES["#commit"], field: True}) == ALICE_COMMIT

    def test_all_bounds_are_inclusive(self) -> None:
        ops = [{**OP, "path": f"{PATH}{index}"} for index in range(MAX_OPS)]
        body = {**BODIES["#commit"], "ops": ops, "blocks": bytes(MAX_COMMIT_BLOCKS_BYTES), "seq": MAX_SEQ}
        commit = parse_message("#commit", body)
        assert isinstance(commit, Commit)
        assert (len(commit.ops), len(commit.blocks), commit.seq) == (MAX_OPS, MAX_COMMIT_BLOCKS_BYTES, MAX_SEQ)
        sync = parse_message("#sync", {**BODIES["#sync"], "blocks": bytes(MAX_SYNC_BLOCKS_BYTES), "seq": 1})
        assert isinstance(sync, Sync)
        assert (len(sync.blocks), sync.seq) == (MAX_SYNC_BLOCKS_BYTES, 1)

    @pytest.mark.parametrize("handle", ["", "alice", "handle.invalid", "no handle at all"])
    def test_a_handle_may_be_any_text(self, handle: str) -> None:
        assert parse_message("#identity", {**BODIES["#identity"], "handle": handle}).did == DID

    def test_a_status_may_be_any_text(self) -> None:
        assert parse_message("#account", {**BODIES["#account"], "status": ""}).did == DID


class TestWrong:
    @pytest.mark.parametrize(
        ("changed", "code", "field"),
        [
            ({"action": "create"}, "bad_value", "ops[0].prev"),
            ({"action": "create", "cid": None}, "bad_value", "ops[0].cid"),
            ({"action": "update", "cid": None}, "bad_value", "ops[0].cid"),
            ({"action": "delete"}, "bad_value", "ops[0].cid"),
            ({"prev": None}, "wrong_type", "ops[0].prev"),
        ],
    )
    def test_an_operation_whose_parts_do_not_fit(self, changed: dict[str, Any], code: str, field: str) -> None:
        assert problem("#commit", ops=[{**OP, **changed}]) == (code, field)

    def test_an_update_that_does_not_say_what_it_replaces(self) -> None:
        op = {key: value for key, value in OP.items() if key != "prev"}
        assert problem("#commit", ops=[op]) == ("missing_field", "ops[0].prev")

    @pytest.mark.parametrize(("kind", "name"), REQUIRED)
    def test_a_required_field_is_missing(self, kind: str, name: str) -> None:
        body = {key: value for key, value in BODIES[kind].items() if key != name}
        with pytest.raises(MessageError) as raised:
            parse_message(kind, body)
        assert (raised.value.code, raised.value.field) == ("missing_field", name)

    @pytest.mark.parametrize(("kind", "name"), FIELDS)
    def test_a_field_has_another_type(self, kind: str, name: str) -> None:
        assert problem(kind, **{name: {}}) == ("wrong_type", name)

    @pytest.mark.parametrize(("kind", "name"), [field for field in FIELDS if field != ("#commit", "since")])
    def test_null_is_no_value(self, kind: str, name: str) -> None:
        assert problem(kind, **{name: None}) == ("wrong_type", name)

    @pytest.mark.parametrize(("kind", "name"), [field for field in FIELDS if field[1] == "seq"])
    def test_true_is_no_number(self, kind: str, name: str) -> None:
        assert problem(kind, **{name: True}) == ("wrong_type", name)

    @pytest.mark.parametrize(
        ("kind", "changed"),
        [
            ("#commit", {"seq": 0}),
            ("#commit", {"seq": -1}),
            ("#commit", {"seq": MAX_SEQ + 1}),
            ("#commit", {"repo": "did:plc:"}),
            ("#commit", {"rev": "zzzzzzzzzzzzz"}),
            ("#commit", {"since": ""}),
            ("#commit", {"commit": CBORTag(42, b"\x00")}),
            ("#commit", {"prevData": CBORTag(43, OLD.value)}),
            ("#commit", {"time": "2026-11-23T10:00:00"}),
            ("#sync", {"did": "alice.test"}),
            ("#commit", {"repo": "did:plc:short"}),
            ("#commit", {"repo": "did:example:abc"}),
            ("#commit", {"commit": cid_to_link(cid_for_raw(b"blob"))}),
            ("#commit", {"prevData": cid_to_link(cid_for_raw(b"blob"))}),
            ("#commit", {"ops": [OP, OP]}),
        ],
    )
    def test_a_field_has_another_form(self, kind: str, changed: dict[str, Value]) -> None:
        [name] = changed
        assert problem(kind, **changed) == ("bad_value", name)

    def test_too_much(self) -> None:
        assert problem("#commit", ops=[OP] * (MAX_OPS + 1)) == ("too_many_ops", "ops")
        assert problem("#commit", blocks=bytes(MAX_COMMIT_BLOCKS_BYTES + 1)) == ("too_large", "blocks")
        assert problem("#sync", blocks=bytes(MAX_SYNC_BLOCKS_BYTES + 1)) == ("too_large", "blocks")

    @pytest.mark.parametrize("name", ["action", "path", "cid"])
    def test_an_operation_lacks_a_field(self, name: str) -> None:
        op = {key: value for key, value in OP.items() if key != name}
        assert problem("#commit", ops=[OP, op]) == ("missing_field", f"ops[1].{name}")

    @pytest.mark.parametrize("name", OP)
    def test_a_field_of_an_operation_has_another_type(self, name: str) -> None:
        assert op_problem(**{name: 5}) == ("wrong_type", f"ops[1].{name}")

    @pytest.mark.parametrize("name", ["action", "path"])
    def test_null_is_no_value_of_an_operation(self, name: str) -> None:
        assert op_problem(**{name: None}) == ("wrong_type", f"ops[1].{name}")

    @pytest.mark.parametrize(
        "changed", [{"action": "upsert"}, {"path": "post"}, {"path": "a.b.c/."}, {"cid": CBORTag(42, b"")}]
    )
    def test_a_field_of_an_operation_has_another_form(self, changed: dict[str, Value]) -> None:
        [name] = changed
        assert op_problem(**changed) == ("bad_value", f"ops[1].{name}")

    def test_an_operation_is_no_map(self) -> None:
        assert problem("#commit", ops=["create"]) == ("wrong_type", "ops[0]")

    def test_a_kind_without_a_parser_is_for_the_caller_to_know(self) -> None:
        with pytest.raises(KeyError):
            parse_message("#info", {})
        assert not LEGACY_KINDS & set(KINDS)

    @given(st.sampled_from(KINDS), st.data())
    def test_whatever_a_peer_sends_is_a_message_or_an_error(self, kind: str, data: st.DataObject) -> None:
        wrong: list[Any] = [None, True, 0, 7, 2**53, "", DID, TIME, b"", [{}], {}, LINK]
        names = data.draw(st.sets(st.sampled_from(sorted(BODIES[kind]))))
        body = {**BODIES[kind], **{name: data.draw(st.sampled_from(wrong)) for name in sorted(names)}}
        try:
            blamed = "" if parse_message(kind, body).seq == body["seq"] else "seq"
        except MessageError as error:
            blamed = error.field.partition("[")[0]
        assert blamed in {"", *names}


class TestPeek:
    @pytest.mark.parametrize(("seq", "read"), [(1, 1), (MAX_SEQ, MAX_SEQ), (0, None), (MAX_SEQ + 1, None), ("1", None)])
    def test_the_number_of_a_message_that_may_be_wrong(self, seq: Value, read: int | None) -> None:
        assert read_seq({"seq": seq}) == read

    def test_without_a_number(self) -> None:
        assert read_seq({}) is None
        assert read_seq({"seq": True}) is None

    def test_an_info_may_lack_everything(self) -> None:
        assert parse_info({"name": "OutdatedCursor", "message": "old"}) == Info("OutdatedCursor", "old")
        assert parse_info({"name": 5}) == Info("", "")


@pytest.mark.parametrize("name", vectors.CAPTURES)
def test_recorded_messages_are_right(shared_data: Path, name: str) -> None:
    for raw in vectors.capture(shared_data, name):
        frame = decode_frame(raw)
        assert isinstance(frame, Frame)
        if frame.kind not in LEGACY_KINDS:
            message = parse_message(frame.kind, frame.body)
            assert (message.seq, message.did) == (frame.body["seq"], frame.body.get("repo") or frame.body["did"])
