"""Signatures. Spec: atproto cryptography, "ECDSA Signature Malleability"; all real commits are verified here too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.car import parse_car
from edgerelay.atproto.commit import announced_commit
from edgerelay.atproto.identity import parse_document
from edgerelay.atproto.keys import Curve, key_from_did_key
from edgerelay.atproto.signatures import ORDERS, SIGNATURE_BYTES, is_well_formed
from tests.signing import verifies
from tests.vectors import CAPTURES, base64_bytes, capture, commits, did_documents, load_json, recording


def signature(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@pytest.mark.parametrize("curve", Curve)
def test_bounds_of_r_and_s(curve: Curve) -> None:
    order = ORDERS[curve]
    half = order // 2
    for r, s in ((1, 1), (order - 1, half), (order - 1, 1), (1, half)):
        assert is_well_formed(curve, signature(r, s))
    for r, s in ((0, 1), (1, 0), (order, 1), (1, half + 1), (1, order - 1), (2**256 - 1, 1), (1, 2**256 - 1)):
        assert not is_well_formed(curve, signature(r, s))


@pytest.mark.parametrize("curve", Curve)
def test_length(curve: Curve) -> None:
    right = signature(1, 1)
    assert len(right) == SIGNATURE_BYTES
    for wrong in (b"", right[:-1], right + b"\0", right[:32]):
        assert not is_well_formed(curve, wrong)


@given(st.sampled_from(Curve), st.binary(max_size=80))
def test_one_of_s_and_its_negative_at_most(curve: Curve, data: bytes) -> None:
    if is_well_formed(curve, data):
        r, s = int.from_bytes(data[:32], "big"), int.from_bytes(data[32:], "big")
        assert not is_well_formed(curve, signature(r, ORDERS[curve] - s))


class TestVectors:
    def test_interop(self, shared_data: Path) -> None:
        cases = load_json(shared_data / "vectors/atproto-interop-tests/crypto/signature-fixtures.json")
        for case in cases:
            key = key_from_did_key(case["publicKeyDid"])
            signed = base64_bytes(case["signatureBase64"])
            assert is_well_formed(key.curve, signed) == case["validSignature"]
            assert verifies(key, base64_bytes(case["messageBase64"]), signed) == case["validSignature"]
        assert len(cases) == 6

    def test_recorded_commits_of_the_network(self, shared_data: Path) -> None:
        documents = did_documents(shared_data)
        seen = 0
        for announced in commits(recording(shared_data)):
            commit = announced_commit(parse_car(announced.blocks), announced.did, announced.rev, announced.commit)
            key = parse_document(announced.did, json.dumps(documents[announced.did]).encode()).signing_key
            assert key is not None
            assert verifies(key, commit.signed_bytes, commit.signature)
            assert not verifies(key, commit.signed_bytes + b"\0", commit.signature)
            seen += 1
        assert seen == 148

    @pytest.mark.parametrize("name", CAPTURES)
    def test_captured_commits_verify_under_a_key_of_their_account(self, shared_data: Path, name: str) -> None:
        directory = load_json(shared_data / "capture/plc.json")
        curves = set()
        for announced in commits(capture(shared_data, name)):
            commit = announced_commit(parse_car(announced.blocks), announced.did, announced.rev, announced.commit)
            # Keys were rotated during the capture: any that the account ever had.
            log = [entry["operation"].get("verificationMethods", {}) for entry in directory[announced.did]["audit"]]
            keys = [key_from_did_key(text) for text in {methods.get("atproto") for methods in log} - {None}]
            assert any(verifies(key, commit.signed_bytes, commit.signature) for key in keys)
            curves |= {key.curve for key in keys}
        assert curves == {Curve.K256}
