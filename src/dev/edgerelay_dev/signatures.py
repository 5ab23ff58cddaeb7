"""Signatures on CPython: the port `SignatureChecker` over the package `cryptography`.

The Worker has no such package; the tests of the port hold both implementations to the same answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from edgerelay.atproto.keys import Curve, PublicKey
from edgerelay.atproto.signatures import SIGNATURE_BYTES, SignatureCheck, is_well_formed
from edgerelay.errors import InvariantError

__all__ = ["CryptographyChecker"]

_CURVES: Final[dict[Curve, ec.EllipticCurve]] = {Curve.K256: ec.SECP256K1(), Curve.P256: ec.SECP256R1()}
_DIGEST: Final = ec.ECDSA(SHA256())
_SCALAR_BYTES: Final = SIGNATURE_BYTES // 2


class CryptographyChecker:
    """`edgerelay.runtime.signatures.SignatureChecker` without a platform."""

    async def check(self, checks: Sequence[SignatureCheck]) -> list[bool]:
        """Tell of each check, in order, whether the signature is right."""
        return [is_well_formed(each.key.curve, each.signature) and _verifies(each) for each in checks]


def _verifies(check: SignatureCheck) -> bool:
    r, s = (int.from_bytes(half, "big") for half in (check.signature[:_SCALAR_BYTES], check.signature[_SCALAR_BYTES:]))
    try:
        _public_key(check.key).verify(encode_dss_signature(r, s), check.signed_bytes, _DIGEST)
    except InvalidSignature:
        return False
    return True


def _public_key(key: PublicKey) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[key.curve], key.point)
    except ValueError as error:
        raise InvariantError("a public key that was not checked when it was read") from error
