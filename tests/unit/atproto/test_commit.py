"""Commit objects. Spec: atproto repository v3, "Commit Objects"; sync, "Commit Validation"."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.car import Car, parse_car
from edgerelay.atproto.cid import (
    cid_for_cbor,
    cid_for_raw,
    cid_from_link,
    cid_to_link,
    cid_to_text,
    is_cbor_cid,
)
from edgerelay.atproto.commit import CommitError, CommitFault, RepoCommit, announced_commit, parse_commit
from edgerelay.atproto.dagcbor import decode, encode
from edgerelay.atproto.mst import EMPTY_ROOT
from edgerelay.atproto.syntax import is_did, is_tid
from edgerelay.errors import WireError
from tests.vectors import CAPTURES, capture, commits, recording

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
REV = "3jzfcijpj2z2a"
FIELDS: dict[str, Any] = {
    "did": DID,
    "rev": REV,
    "sig": bytes(range(64)),
    "data": cid_to_link(EMPTY_ROOT),
    "prev": None,
    "version": 3,
}


def fault_of(block: bytes) -> CommitFault:
    with pytest.raises(CommitError) as caught:
        parse_commit(block)
    return caught.value.fault


def test_fields_are_read() -> None:
    commit = parse_commit(encode(FIELDS))
    assert (commit.did, commit.rev, commit.data, commit.prev) == (DID, REV, EMPTY_ROOT, None)
    assert commit.signature == FIELDS["sig"]


def test_signature_covers_all_but_itself() -> None:
    unsigned = {name: value for name, value in FIELDS.items() if name != "sig"}
    assert parse_commit(encode(FIELDS)).signed_bytes == encode(unsigned)
    # Also what we do not know.
    assert parse_commit(encode(FIELDS | {"note": "x"})).signed_bytes == encode(unsigned | {"note": "x"})


def test_previous_commit_is_read() -> None:
    other = cid_for_cbor(b"other")
    assert parse_commit(encode(FIELDS | {"prev": cid_to_link(other)})).prev == other


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_must_be_there(name: str) -> None:
    assert fault_of(encode({key: value for key, value in FIELDS.items() if key != name})) is CommitFault.MALFORMED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("did", None),
        ("did", 1),
        ("did", "did:plc"),
        ("rev", None),
        ("rev", "2026-11-23"),
        ("sig", None),
        ("sig", "text"),
        ("sig", bytes(63)),
        ("sig", bytes(65)),
        ("data", None),
        ("data", EMPTY_ROOT),
        ("data", cid_to_link(cid_for_raw(b""))),
        ("prev", 0),
        ("prev", cid_to_link(cid_for_raw(b""))),
        ("version", None),
        ("version", 2),
        ("version", 4),
        ("version", "3"),
        ("version", True),
    ],
)
def test_every_field_has_its_type(name: str, value: object) -> None:
    assert fault_of(encode(FIELDS | {name: value})) is CommitFault.MALFORMED


def test_what_is_not_deterministic_cbor_is_malformed() -> None:
    block = encode(FIELDS)
    for data in (b"", block[:-1], block + b"\0", encode([]), b"\xb8\x06" + block[1:], encode("text")):
        assert fault_of(data) is CommitFault.MALFORMED


class TestAnnounced:
    """The commit in a CAR and the message that brings it agree."""

    BLOCK = encode(FIELDS)
    CID = cid_for_cbor(BLOCK)
    CAR = Car(CID, {CID: BLOCK})

    def fault_of(self, car: Car, *announced: Any) -> CommitFault:
        with pytest.raises(CommitError) as caught:
            announced_commit(car, *announced)
        return caught.value.fault

    def test_agreement(self) -> None:
        assert announced_commit(self.CAR, DID, REV, self.CID) == parse_commit(self.BLOCK)
        assert announced_commit(self.CAR, DID, REV) == parse_commit(self.BLOCK)

    def test_disagreement(self) -> None:
        assert self.fault_of(self.CAR, DID, REV, cid_for_cbor(b"")) is CommitFault.ROOT
        assert self.fault_of(self.CAR, "did:web:example.com", REV, self.CID) is CommitFault.DISAGREES
        assert self.fault_of(self.CAR, DID, "3jzfcijpj2z2b", self.CID) is CommitFault.DISAGREES

    def test_root_that_is_not_there(self) -> None:
        assert self.fault_of(Car(self.CID, {}), DID, REV, self.CID) is CommitFault.MISSING

    def test_root_that_is_something_else(self) -> None:
        record = encode({"text": "hello"})
        cid = cid_for_cbor(record)
        assert self.fault_of(Car(cid, {cid: record}), DID, REV, cid) is CommitFault.MALFORMED


def decoded(block: bytes) -> RepoCommit | None:
    """The twin: everything by the decoder."""
    try:
        fields = decode(block)
        if not isinstance(fields, dict) or set(FIELDS) - set(fields):
            return None
        did, rev, sig, link, prev, version = [fields[name] for name in FIELDS]
        if not (isinstance(did, str) and is_did(did) and isinstance(rev, str) and is_tid(rev)):
            return None
        if not (isinstance(sig, bytes) and len(sig) == 64 and type(version) is int and version == 3):
            return None
        data, before = cid_from_link(link), None if prev is None else cid_from_link(prev)
    except WireError:
        return None
    if not is_cbor_cid(data) or (before is not None and not is_cbor_cid(before)):
        return None
    unsigned = {name: value for name, value in fields.items() if name != "sig"}
    return RepoCommit(did, rev, data, before, sig, encode(unsigned))


def parsed(block: bytes) -> RepoCommit | None:
    try:
        return parse_commit(block)
    except WireError:
        return None


def test_every_byte_of_the_commonest_is_read_as_the_decoder_reads_it() -> None:
    block = encode(FIELDS)
    assert parsed(block) is not None
    for at, byte in product(range(len(block)), range(256)):
        changed = block[:at] + bytes((byte,)) + block[at + 1 :]
        assert parsed(changed) == decoded(changed)


@given(st.data())
def test_changed_bytes_are_read_as_the_decoder_reads_them(draw: st.DataObject) -> None:
    block = encode(FIELDS)
    at = draw.draw(st.integers(0, len(block)))
    for data in (block[:at] + draw.draw(st.binary(max_size=4)) + block[at + 1 :], draw.draw(st.binary(max_size=40))):
        assert parsed(data) == decoded(data)


@pytest.mark.parametrize("name", [*CAPTURES, "recording"])
def test_real_commits(shared_data: Path, name: str) -> None:
    frames = recording(shared_data) if name == "recording" else capture(shared_data, name)
    for announced in commits(frames):
        commit = announced_commit(parse_car(announced.blocks), announced.did, announced.rev, announced.commit)
        # One of the servers links each commit to the one before, as all did once.
        assert commit.prev is None or name == "arroba"


def test_commit_of_a_whole_repository(shared_data: Path) -> None:
    folder = shared_data / "vectors/jetstream/internal/corpus/testdata"
    expected = dict(line.split(": ", 1) for line in (folder / "car_expected_commit.txt").read_text().splitlines())
    car = parse_car((folder / "repo.car").read_bytes())
    commit = announced_commit(car, expected["DID"], expected["Revision"])
    assert cid_to_text(commit.data) == expected["Data CID"]
