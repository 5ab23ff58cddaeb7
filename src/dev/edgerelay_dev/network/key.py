"""Signing keys of both curves, derived from a seed, with low-S signatures that are the same on every run.

Spec: atproto cryptography; RFC 6979 for the nonce, which is what makes runs repeatable.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = ["CURVES", "Curve", "SigningKey", "derive_key"]


class Curve(NamedTuple):
    """What distinguishes one of the two curves on the wire."""

    name: str
    algorithm: ec.EllipticCurve
    order: int
    multicodec: bytes
    """Varint multicodec prefix of a compressed public key."""
    legacy_type: str
    """Type of the verification method in the older DID document form."""


CURVES: Final = {
    "k256": Curve(
        "k256",
        ec.SECP256K1(),
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
        b"\xe7\x01",
        "EcdsaSecp256k1VerificationKey2019",
    ),
    "p256": Curve(
        "p256",
        ec.SECP256R1(),
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        b"\x80\x24",
        "EcdsaSecp256r1VerificationKey2019",
    ),
}

_SIGNING: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_SCALAR_BYTES: Final = 32
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


@dataclass(frozen=True)
class SigningKey:
    """A private key; `multikey` and `legacy_multibase` are the two ways a DID document writes its public half."""

    curve: Curve
    private: ec.EllipticCurvePrivateKey

    def sign(self, message: bytes, *, high_s: bool = False) -> bytes:
        """Sign as `r || s`, 64 bytes; `high_s` gives the other, forbidden half of the malleable pair."""
        r, s = decode_dss_signature(self.private.sign(message, _SIGNING))
        if (s > self.curve.order // 2) != high_s:
            s = self.curve.order - s
        return r.to_bytes(_SCALAR_BYTES, "big") + s.to_bytes(_SCALAR_BYTES, "big")

    @cached_property
    def multikey(self) -> str:
        """The public key as a Multikey: base58btc of prefix and compressed point."""
        return _base58btc(self.curve.multicodec + self._point(PublicFormat.CompressedPoint))

    @cached_property
    def legacy_multibase(self) -> str:
        """The public key as older documents write it: the uncompressed point, without a prefix."""
        return _base58btc(self._point(PublicFormat.UncompressedPoint))

    def _point(self, form: PublicFormat) -> bytes:
        return self.private.public_key().public_bytes(Encoding.X962, form)


def derive_key(curve: str, label: str) -> SigningKey:
    """Derive the key that belongs to a label: the same label gives the same key."""
    parameters = CURVES[curve]
    scalar = int.from_bytes(sha256(label.encode()).digest(), "big") % (parameters.order - 1) + 1
    return SigningKey(parameters, ec.derive_private_key(scalar, parameters.algorithm))


def _base58btc(data: bytes) -> str:
    value, digits = int.from_bytes(data, "big"), ""
    while value:
        value, digit = divmod(value, len(_BASE58))
        digits = _BASE58[digit] + digits
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "z" + _BASE58[0] * zeros + digits
