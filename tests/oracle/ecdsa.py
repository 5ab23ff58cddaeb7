"""ECDSA as the textbooks write it, for keys and signatures that no library made.

Spec: SEC 1 version 2, 4.1.3 and 4.1.4; SEC 2 version 2, 2.4.1 and 2.4.2 for the curves.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from edgerelay.atproto.keys import Curve, PublicKey
from edgerelay.atproto.signatures import ORDERS, SignatureCheck

__all__ = ["Point", "add", "digest", "generator", "multiply", "public_key", "r_of", "raw", "sign", "verifies"]

Point = tuple[int, int] | None
"""A point, or None at infinity."""


class Group(NamedTuple):
    """y^2 = x^3 + a x + b modulo a prime, and a generator."""

    prime: int
    a: int
    generator: tuple[int, int]


GROUPS = {
    Curve.K256: Group(
        2**256 - 2**32 - 977,
        0,
        (
            0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
            0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
        ),
    ),
    Curve.P256: Group(
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        -3,
        (
            0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
            0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
        ),
    ),
}


def generator(curve: Curve) -> Point:
    return GROUPS[curve].generator


def add(curve: Curve, left: Point, right: Point) -> Point:
    prime, a, _ = GROUPS[curve]
    if left is None or right is None:
        return left or right
    if left[0] != right[0]:
        slope = (right[1] - left[1]) * pow(right[0] - left[0], -1, prime)
    elif left[1] == right[1]:
        slope = (3 * left[0] ** 2 + a) * pow(2 * left[1], -1, prime)
    else:
        return None
    x = (slope**2 - left[0] - right[0]) % prime
    return x, (slope * (left[0] - x) - left[1]) % prime


def multiply(curve: Curve, factor: int, point: Point) -> Point:
    result: Point = None
    while factor:
        if factor % 2:
            result = add(curve, result, point)
        point = add(curve, point, point)
        factor //= 2
    return result


def public_key(curve: Curve, point: Point) -> PublicKey:
    assert point is not None
    x, y = point
    return PublicKey(curve, bytes([2 + y % 2]) + x.to_bytes(32, "big"))


def digest(message: bytes) -> int:
    return int.from_bytes(sha256(message).digest(), "big")


def raw(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def r_of(curve: Curve, nonce: int) -> int:
    """The half of a signature that depends on the nonce alone."""
    point = multiply(curve, nonce, generator(curve))
    assert point is not None
    return point[0] % ORDERS[curve]


def sign(curve: Curve, secret: int, message: bytes, nonce: int) -> bytes:
    """Sign, with the low one of both values of `s`."""
    order, r = ORDERS[curve], r_of(curve, nonce)
    s = pow(nonce, -1, order) * (digest(message) + r * secret) % order
    return raw(r, min(s, order - s))


def verifies(check: SignatureCheck) -> bool:
    """Tell whether a signature of the right length is right, whichever of both values of `s` it has."""
    curve = check.key.curve
    order = ORDERS[curve]
    r, s = int.from_bytes(check.signature[:32], "big"), int.from_bytes(check.signature[32:], "big")
    if not (0 < r < order and 0 < s < order):
        return False
    uncompressed = check.key.uncompressed()
    key = int.from_bytes(uncompressed[1:33], "big"), int.from_bytes(uncompressed[33:], "big")
    inverse = pow(s, -1, order)
    of_message = multiply(curve, digest(check.signed_bytes) * inverse % order, generator(curve))
    point = add(curve, of_message, multiply(curve, r * inverse % order, key))
    return point is not None and point[0] % order == r
