"""Public keys in the forms that DID documents write them: did:key, Multikey and the older verification keys.

A key comes out as a curve and a point known to lie on it. Everything here is for the cold path, an identity that is
looked up: `multiformats` is imported when the first key is read.

Spec: atproto cryptography, "Public Key Encoding"; atproto DID, "DID Documents" (legacy representation).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from edgerelay.errors import InvariantError, WireError

__all__ = [
    "MAX_KEY_CHARS",
    "Curve",
    "PublicKey",
    "key_from_did_key",
    "key_from_legacy",
    "key_from_multikey",
]

MAX_KEY_CHARS: Final = 100
"""An uncompressed point takes 90 characters; decoding base58 is quadratic, so that longer text is not even tried."""


class Curve(StrEnum):
    """The curves that every implementation must support."""

    K256 = "k256"
    P256 = "p256"


class PublicKey(NamedTuple):
    """A point on a curve."""

    curve: Curve
    point: bytes
    """33 bytes: 2 or 3 by the parity of y, then x."""

    def uncompressed(self) -> bytes:
        """Write the point as 65 bytes: 4, x, y."""
        field = _FIELDS[self.curve]
        x = int.from_bytes(self.point[1:], "big")
        y = field.y_of(x)
        if y is None:
            raise InvariantError("a public key that was not checked when it was read")
        if y % 2 != self.point[0] % 2:
            y = field.prime - y
        return bytes((_UNCOMPRESSED,)) + self.point[1:] + y.to_bytes(_COORDINATE_BYTES, "big")


class _Field(NamedTuple):
    """y^2 = x^3 + a x + b over a prime field."""

    prime: int
    a: int
    b: int

    def y_of(self, x: int) -> int | None:
        """Compute one of the two y for an x, if there are any."""
        if x >= self.prime:
            return None
        square = (x**3 + self.a * x + self.b) % self.prime
        # Both primes are 3 modulo 4, where this power of a square is a root of it.
        y = pow(square, (self.prime + 1) // 4, self.prime)
        return y if y * y % self.prime == square else None


_FIELDS: Final = {
    Curve.K256: _Field(2**256 - 2**32 - 977, 0, 7),
    Curve.P256: _Field(
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        -3,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    ),
}

_COORDINATE_BYTES: Final = 32
_COMPRESSED: Final = (2, 3)
_UNCOMPRESSED: Final = 4
_COMPRESSED_BYTES: Final = 1 + _COORDINATE_BYTES
_UNCOMPRESSED_BYTES: Final = 1 + 2 * _COORDINATE_BYTES

_BASE58BTC: Final = "z"
_DID_KEY: Final = "did:key:"
_MULTICODECS: Final = {b"\xe7\x01": Curve.K256, b"\x80\x24": Curve.P256}
"""secp256k1-pub (0xe7) and p256-pub (0x1200) as varints."""
_MULTICODEC_BYTES: Final = 2

_LEGACY_TYPES: Final = {
    "EcdsaSecp256k1VerificationKey2019": Curve.K256,
    "EcdsaSecp256r1VerificationKey2019": Curve.P256,
}


def key_from_did_key(text: str) -> PublicKey:
    """Read `did:key:z...`."""
    if not text.startswith(_DID_KEY):
        raise WireError("not a did:key")
    return key_from_multikey(text.removeprefix(_DID_KEY))


def key_from_multikey(text: str) -> PublicKey:
    """Read a Multikey: a curve's code and a compressed point."""
    data = _decode_base58btc(text)
    curve = _MULTICODECS.get(data[:_MULTICODEC_BYTES])
    if curve is None:
        raise WireError("a key of a type that is not supported")
    if len(data) != _MULTICODEC_BYTES + _COMPRESSED_BYTES:
        raise WireError("a key of a wrong length")
    return _point(curve, data[_MULTICODEC_BYTES:])


def key_from_legacy(kind: str, text: str) -> PublicKey:
    """Read the key of a verification method of an old type: a point, in practice uncompressed, without a code."""
    curve = _LEGACY_TYPES.get(kind)
    if curve is None:
        raise WireError("a verification method of a type that is not supported")
    return _point(curve, _decode_base58btc(text))


def _point(curve: Curve, data: bytes) -> PublicKey:
    """Check a point and compress it."""
    field = _FIELDS[curve]
    x = data[1:_COMPRESSED_BYTES]
    y = field.y_of(int.from_bytes(x, "big"))
    if y is None:
        raise WireError("a point that is not on its curve")
    if len(data) == _COMPRESSED_BYTES and data[0] in _COMPRESSED:
        return PublicKey(curve, data)
    if len(data) != _UNCOMPRESSED_BYTES or data[0] != _UNCOMPRESSED:
        raise WireError("a point of a wrong length or form")
    given_y = int.from_bytes(data[_COMPRESSED_BYTES:], "big")
    if given_y not in (y, field.prime - y):
        raise WireError("a point that is not on its curve")
    return PublicKey(curve, bytes((_COMPRESSED[given_y % 2],)) + x)


def _decode_base58btc(text: str) -> bytes:
    if not text.startswith(_BASE58BTC) or len(text) > MAX_KEY_CHARS:
        raise WireError("a key that is not base58btc, or too long")
    # Imported here: it takes 0.4 s in the Worker, and what handles events never reads a key's text.
    from multiformats import multibase

    try:
        return multibase.decode(text)
    except ValueError:
        raise WireError("a key that is not base58btc") from None
