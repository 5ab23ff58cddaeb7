"""The messages of Jetstream v2: those of v1 in another form, and those of #sync."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cbor2 import CBORTag, dumps

from edgerelay.archive.jetstream import RenderError, render
from edgerelay.archive.jetstream_v2 import encode_event_error, encode_event_info, render_events
from edgerelay.atproto.cid import cid_for_cbor, cid_to_text
from edgerelay.atproto.timestamp import datetime_text
from tests.oracle import frames
from tests.vectors import recording

NSID = "network.bsky.jetstream.subscribeEvents"
DID, REV, SEQ = frames.did(1), frames.tid(2**60), frames.NOW_US
TIME = datetime_text(SEQ)


def only(raw: bytes) -> str:
    [event] = render_events(raw)
    assert event.number == SEQ
    return event.json


def enveloped(payload: str) -> str:
    return f'{{"$type":"message","payload":{{"$type":"{NSID}#{payload}}}}}'


def test_identity_account_and_sync() -> None:
    end = f'"seq":{SEQ},"time":"{TIME}"'
    identity = frames.identity(SEQ, DID, handle="alice.test")
    inside = f'{{"did":"{DID}","handle":"alice.test",{end}}}'
    assert only(identity) == enveloped(f'identity","did":"{DID}","identity":{inside},{end}')
    account = frames.account(SEQ, DID, active=False, status="deleted")
    inside = f'{{"active":false,"did":"{DID}","seq":{SEQ},"status":"deleted","time":"{TIME}"}}'
    assert only(account) == enveloped(f'account","account":{inside},"did":"{DID}",{end}')
    sync = frames.sync(SEQ, DID, REV, blocks=b"\xfb\xff\xfe\0")
    inside = f'{{"blocks":"+//+AA","did":"{DID}","rev":"{REV}",{end}}}'
    assert only(sync) == enveloped(f'sync","did":"{DID}","seq":{SEQ},"sync":{inside},"time":"{TIME}"')


def test_the_keys_of_a_record_stand_in_order_too() -> None:
    """In v1 those of blobs do not."""
    link = CBORTag(42, b"\0" + cid_for_cbor(b"\xa0"))
    block = dumps(
        {"$type": "a.b.c", "blob": {"$type": "blob", "ref": link, "mimeType": "x/y", "size": 5}}, canonical=True
    )
    cid = cid_for_cbor(block)
    _, body = frames.parts(frames.commit(SEQ, DID, REV))
    operation = {"action": "create", "path": "a.b.c/k", "cid": CBORTag(42, b"\0" + cid)}
    header = dumps({"roots": [CBORTag(42, b"\0" + cid)], "version": 1}, canonical=True)
    entry = cid + block
    car = bytes([len(header)]) + header + (len(entry) & 127 | 128).to_bytes(1, "big") + bytes([len(entry) >> 7]) + entry
    raw = frames.frame("#commit", {**body, "ops": [operation], "blocks": car})
    assert only(raw) == enveloped(
        f'commit","cid":"{cid_to_text(cid)}","collection":"a.b.c","did":"{DID}","operation":"create",'
        '"record":{"$type":"a.b.c","blob":{"$type":"blob","mimeType":"x/y",'
        f'"ref":{{"$link":"{cid_to_text(cid_for_cbor(bytes([0xA0])))}"}},"size":5}}}},'
        f'"rev":"{REV}","rkey":"k","seq":{SEQ},"time":"{TIME}"'
    )


def test_an_event_without_lines_has_no_messages() -> None:
    assert render_events(frames.commit(SEQ, DID, REV)) == ()


def test_what_is_no_frame_is_no_event() -> None:
    with pytest.raises(RenderError):
        render_events(b"damaged")


def test_what_is_told() -> None:
    assert encode_event_info("OutdatedCursor", "too old") == enveloped(
        'info","message":"too old","name":"OutdatedCursor"'
    )
    assert encode_event_error("ConsumerTooSlow", "slow") == (
        '{"$type":"error","error":"ConsumerTooSlow","message":"slow"}'
    )


def test_the_whole_network_says_the_same_as_in_v1(shared_data: Path) -> None:
    for raw in recording(shared_data):
        for line, event in zip(render(raw).lines, render_events(raw), strict=True):
            before: dict[str, Any] = json.loads(line.json)
            payload: dict[str, Any] = json.loads(event.json)["payload"]
            assert payload.pop("$type") == f"{NSID}#{line.kind}"
            assert (payload.pop("seq"), payload.pop("time")) == (line.time_us, datetime_text(line.time_us))
            inside = before[line.kind] if line.kind == "commit" else {line.kind: before[line.kind]}
            assert payload == {**inside, "did": line.did}
