"""The form of signatures. Spec: atproto cryptography, "ECDSA Signature Malleability"."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.keys import Curve, key_from_did_key
from edgerelay.atproto.signatures import ORDERS, SIGNATURE_BYTES, is_well_formed
from tests.vectors import base64_bytes, load_json


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
        """What is wrong in the fixtures is wrong by its form."""
        for case in load_json(shared_data / "vectors/atproto-interop-tests/crypto/signature-fixtures.json"):
            curve = key_from_did_key(case["publicKeyDid"]).curve
            assert is_well_formed(curve, base64_bytes(case["signatureBase64"])) == case["validSignature"]
