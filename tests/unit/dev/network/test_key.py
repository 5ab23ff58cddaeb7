from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from edgerelay_dev.network.key import CURVES, SigningKey, derive_key
from tests.unit.dev.network.stream_oracle import verify

CURVE_NAMES = ["k256", "p256"]


@pytest.mark.parametrize("curve", CURVE_NAMES)
def test_same_label_gives_same_key_and_signature(curve: str) -> None:
    first, second = derive_key(curve, "a"), derive_key(curve, "a")
    assert first.multikey == second.multikey != derive_key(curve, "b").multikey
    assert first.sign(b"message") == second.sign(b"message") != first.sign(b"other")


@pytest.mark.parametrize("curve", CURVE_NAMES)
def test_signatures_verify_and_are_low_s(curve: str) -> None:
    key = derive_key(curve, "a")
    for number in range(20):
        message = b"message %d" % number
        assert verify(key.multikey, message, key.sign(message))
        high = key.sign(message, high_s=True)
        assert int.from_bytes(high[32:], "big") > CURVES[curve].order // 2
        assert not verify(key.multikey, message, high)


@pytest.mark.parametrize("curve", CURVE_NAMES)
def test_multikey_prefix_names_the_curve(curve: str) -> None:
    assert derive_key(curve, "a").multikey.startswith({"k256": "zQ3s", "p256": "zDn"}[curve])


def test_multikeys_of_the_interop_fixtures(shared_data: Path) -> None:
    folder = shared_data / "vectors/atproto-interop-tests/crypto"
    for fixture in json.loads((folder / "w3c_didkey_K256.json").read_text()):
        assert (
            "did:key:" + _key("k256", bytes.fromhex(fixture["privateKeyBytesHex"])).multikey == fixture["publicDidKey"]
        )
    for fixture in json.loads((folder / "w3c_didkey_P256.json").read_text()):
        private = _base58_decode(fixture["privateKeyBytesBase58"])
        assert "did:key:" + _key("p256", private).multikey == fixture["publicDidKey"]


def test_verifier_agrees_with_the_interop_fixtures(shared_data: Path) -> None:
    fixtures = json.loads((shared_data / "vectors/atproto-interop-tests/crypto/signature-fixtures.json").read_text())
    for fixture in fixtures:
        message, signature = (b64decode(fixture[name] + "==") for name in ("messageBase64", "signatureBase64"))
        assert verify(fixture["publicKeyDid"].removeprefix("did:key:"), message, signature) == fixture["validSignature"]


def test_legacy_multibase_is_the_uncompressed_point() -> None:
    decoded = _base58_decode(derive_key("k256", "a").legacy_multibase[1:])
    assert (len(decoded), decoded[0]) == (65, 4)


def _key(curve: str, private: bytes) -> SigningKey:
    parameters = CURVES[curve]
    return SigningKey(parameters, ec.derive_private_key(int.from_bytes(private, "big"), parameters.algorithm))


def _base58_decode(text: str) -> bytes:
    number = 0
    for character in text:
        number = number * 58 + "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".index(character)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
