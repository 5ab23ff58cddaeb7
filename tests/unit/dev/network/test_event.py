from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgerelay.atproto.dagcbor import decode_pair
from edgerelay_dev.network.event import (
    Event,
    account_event,
    commit_event,
    encode_event,
    error_frame,
    identity_event,
    info_frame,
    sync_event,
)
from edgerelay_dev.network.key import derive_key
from edgerelay_dev.network.recording import read_recording
from edgerelay_dev.network.repository import Create, Delete, Repository
from tests.unit.dev.network.stream_oracle import unlink

DID = "did:plc:" + "a" * 24
TIME = "2026-11-23T07:03:49.000001Z"
KEY = derive_key("k256", "event")


def body_of(frame: bytes) -> dict[str, Any]:
    return dict(unlink(decode_pair(frame)[1]))


@pytest.mark.parametrize("name", ["pds1", "deep"])
def test_recorded_frames_are_encoded_byte_for_byte(shared_data: Path, name: str) -> None:
    for frame in read_recording(shared_data / f"capture/{name}.bin"):
        header, body = decode_pair(frame)
        assert isinstance(header, dict)
        assert isinstance(body, dict)
        seq = body.pop("seq")
        assert isinstance(seq, int)
        assert encode_event(Event(str(header["t"]), body), seq) == frame


def test_events_have_the_fields_of_recorded_ones(shared_data: Path) -> None:
    repository = Repository(DID)
    first = repository.commit([], "3k2222222222a", KEY)
    later = repository.commit([Create("app.bsky.feed.post/1", {})], "3k2222222222b", KEY)
    lines = (shared_data / "capture/pds1.jsonl").read_text().splitlines()
    recorded: dict[str, set[tuple[str, ...]]] = {}
    for line in map(json.loads, lines):
        recorded.setdefault(line["t"], set()).add(tuple(line["keys"]))
    for event in (
        commit_event(DID, first, TIME),
        commit_event(DID, later, TIME),
        sync_event(DID, later.commit, TIME),
        identity_event(DID, "a.test", TIME),
        account_event(DID, None, TIME),
        account_event(DID, "deleted", TIME),
    ):
        assert tuple(body_of(encode_event(event, 1))) in recorded[event.kind]


def test_control_frames_are_those_of_the_reference_pds(shared_data: Path) -> None:
    lines = (shared_data / "capture/control_frames.jsonl").read_text().splitlines()
    recorded = {line["hex"] for line in map(json.loads, lines)}
    assert error_frame("FutureCursor", "Cursor in the future.").hex() in recorded
    assert error_frame("ConsumerTooSlow", "Stream consumer too slow").hex() in recorded
    outdated = info_frame("OutdatedCursor", "Requested cursor exceeded limit. Possibly missing events")
    assert outdated.hex() in recorded


def test_ops_tell_what_was_there_before() -> None:
    repository = Repository(DID)
    created = repository.commit([Create("app.bsky.feed.post/1", {})], "3k2222222222a", KEY)
    deleted = repository.commit([Delete("app.bsky.feed.post/1")], "3k2222222222b", KEY)
    cid = created.ops[0].cid
    (create,) = body_of(encode_event(commit_event(DID, created, TIME), 1))["ops"]
    (delete,) = body_of(encode_event(commit_event(DID, deleted, TIME), 2))["ops"]
    assert create == {"action": "create", "path": "app.bsky.feed.post/1", "cid": cid}
    assert delete == {"action": "delete", "path": "app.bsky.feed.post/1", "cid": None, "prev": cid}


def test_identity_may_leave_the_handle_out() -> None:
    assert identity_event(DID, None, TIME).body == {"did": DID, "time": TIME}


def test_account_has_a_status_only_when_it_is_not_active() -> None:
    assert account_event(DID, None, TIME).body == {"did": DID, "time": TIME, "active": True}
    assert account_event(DID, "takendown", TIME).body["status"] == "takendown"
