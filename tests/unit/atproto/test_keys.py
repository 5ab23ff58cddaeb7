"""Public keys. Spec: atproto cryptography, "Public Key Encoding"; the oracle is the package `cryptography`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.keys import (
    MAX_KEY_CHARS,
    Curve,
    PublicKey,
    key_from_did_key,
    key_from_legacy,
    key_from_multikey,
)
from edgerelay.errors import InvariantError, WireError
from tests.oracle import ecdsa
from tests.vectors import load_json

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
K256_CODE = b"\xe7\x01"
P256_CODE = b"\x80\x24"
K256_TYPE = "EcdsaSecp256k1VerificationKey2019"
P256_TYPE = "EcdsaSecp256r1VerificationKey2019"
# The generators of both groups (SEC 2, 2.4.1 and 2.4.2).
GENERATORS = {
    Curve.K256: (
        "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
    ),
    Curve.P256: (
        "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    ),
}
CODES = {Curve.K256: K256_CODE, Curve.P256: P256_CODE}
TYPES = {Curve.K256: K256_TYPE, Curve.P256: P256_TYPE}


def base58btc(data: bytes) -> str:
    number, digits = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = ALPHABET[digit] + digits
    return "z" + "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def compressed(curve: Curve) -> bytes:
    x, y = GENERATORS[curve]
    return bytes([2 + int(y, 16) % 2]) + bytes.fromhex(x)


def uncompressed(curve: Curve) -> bytes:
    return b"\x04" + bytes.fromhex("".join(GENERATORS[curve]))


@pytest.mark.parametrize("curve", Curve)
def test_all_forms_give_the_same_key(curve: Curve) -> None:
    text = base58btc(CODES[curve] + compressed(curve))
    key = PublicKey(curve, compressed(curve))
    assert text.startswith({Curve.K256: "zQ3s", Curve.P256: "zDn"}[curve])
    assert key_from_multikey(text) == key
    assert key_from_did_key("did:key:" + text) == key
    assert key_from_legacy(TYPES[curve], base58btc(uncompressed(curve))) == key
    assert key_from_legacy(TYPES[curve], base58btc(compressed(curve))) == key
    assert key.uncompressed() == uncompressed(curve)


@pytest.mark.parametrize("curve", Curve)
def test_both_halves_of_a_curve(curve: Curve) -> None:
    x, y = GENERATORS[curve]
    other = bytes([3 - int(y, 16) % 2]) + bytes.fromhex(x)
    key = key_from_multikey(base58btc(CODES[curve] + other))
    assert key.uncompressed()[33:] != bytes.fromhex(y)
    assert key_from_legacy(TYPES[curve], base58btc(key.uncompressed())) == key


@pytest.mark.parametrize("curve", Curve)
def test_oracle_agrees_on_points(curve: Curve) -> None:
    ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
    group = {Curve.K256: ec.SECP256K1(), Curve.P256: ec.SECP256R1()}[curve]
    draw = random.Random(1)
    refused = 0
    for _ in range(60):
        point = bytes([draw.choice([2, 3])]) + draw.randbytes(32)
        try:
            numbers = ec.EllipticCurvePublicKey.from_encoded_point(group, point).public_numbers()
        except ValueError:
            refused += 1
            with pytest.raises(WireError):
                key_from_multikey(base58btc(CODES[curve] + point))
        else:
            key = key_from_multikey(base58btc(CODES[curve] + point))
            assert key.uncompressed()[33:] == numbers.y.to_bytes(32, "big")
    assert 10 < refused < 50


G = compressed(Curve.K256)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "z",
        "did:key:",
        base58btc(K256_CODE + G)[1:],
        "m" + base58btc(K256_CODE + G)[1:],
        "z0" + base58btc(K256_CODE + G)[2:],  # not in the alphabet
        "zé" + base58btc(K256_CODE + G)[2:],
        base58btc(G),
        base58btc(b"\xed\x01" + G[1:]),  # Ed25519
        base58btc(K256_CODE + G[:-1]),
        base58btc(K256_CODE + G + b"\0"),
        base58btc(K256_CODE + b"\x04" + G[1:]),
        base58btc(K256_CODE + uncompressed(Curve.K256)),
        base58btc(K256_CODE + b"\x02" + bytes(32)),  # not on the curve
        base58btc(K256_CODE + b"\x02" + b"\xff" * 32),  # not in the field
        base58btc(P256_CODE + b"\x02" + b"\xff" * 32),
        "z" + "1" * MAX_KEY_CHARS,
        "z" + "2" * 1_000_000,
    ],
)
def test_multikey_refuses(text: str) -> None:
    with pytest.raises(WireError):
        key_from_multikey(text)
    with pytest.raises(WireError):
        key_from_did_key("did:key:" + text)


def test_did_key_is_nothing_else() -> None:
    with pytest.raises(WireError):
        key_from_did_key(base58btc(K256_CODE + G))


def test_legacy_refuses() -> None:
    point = uncompressed(Curve.P256)
    wrong_y = point[:-1] + bytes([point[-1] ^ 1])
    for kind, data in (
        (K256_TYPE, point),  # of the other curve
        (P256_TYPE, wrong_y),
        (P256_TYPE, b"\x05" + point[1:]),
        (P256_TYPE, point[:-1]),
        (P256_TYPE, point + b"\0"),
        (P256_TYPE, P256_CODE + compressed(Curve.P256)),
        (P256_TYPE, b""),
        ("Ed25519VerificationKey2020", point),
        ("Multikey", point),
    ):
        with pytest.raises(WireError):
            key_from_legacy(kind, base58btc(data))


@given(st.text(max_size=60), st.binary(max_size=70))
def test_nothing_but_a_wire_error_escapes(text: str, data: bytes) -> None:
    for candidate in (text, "z" + text, base58btc(data), base58btc(K256_CODE + data)):
        for read in (key_from_multikey, key_from_did_key, lambda value: key_from_legacy(P256_TYPE, value)):
            try:
                key = read(candidate)
            except WireError:
                continue
            assert len(key.uncompressed()) == 65


def test_a_key_that_was_not_read_here_is_our_fault() -> None:
    with pytest.raises(InvariantError):
        PublicKey(Curve.P256, b"\x02" + b"\xff" * 32).uncompressed()


class TestVectors:
    def test_private_keys_have_their_did_key(self, shared_data: Path) -> None:
        folder = shared_data / "vectors/atproto-interop-tests/crypto"
        seen = 0
        for name, curve in (("w3c_didkey_K256.json", Curve.K256), ("w3c_didkey_P256.json", Curve.P256)):
            for case in load_json(folder / name):
                if "privateKeyBytesHex" in case:
                    secret = int(case["privateKeyBytesHex"], 16)
                else:
                    secret = 0
                    for digit in case["privateKeyBytesBase58"]:
                        secret = secret * 58 + ALPHABET.index(digit)
                point = ecdsa.multiply(curve, secret, ecdsa.generator(curve))
                assert key_from_did_key(case["publicDidKey"]) == ecdsa.public_key(curve, point)
                seen += 1
        assert seen == 6

    def test_both_forms_of_the_signature_fixtures(self, shared_data: Path) -> None:
        for case in load_json(shared_data / "vectors/atproto-interop-tests/crypto/signature-fixtures.json"):
            key = key_from_did_key(case["publicKeyDid"])
            assert key == key_from_legacy(case["didDocSuite"], case["publicKeyMultibase"])
