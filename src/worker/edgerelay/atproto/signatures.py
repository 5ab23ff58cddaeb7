"""Signatures as data: what can be told without a key.

The verification itself is a port of the runtime. WebCrypto and other libraries accept the high half of `s`, which the
protocol refuses on both curves; so the check stands here, before any of them is asked.

Spec: atproto cryptography, "ECDSA Signature Malleability".
"""

from __future__ import annotations

from typing import Final, NamedTuple

from edgerelay.atproto.keys import Curve, PublicKey

__all__ = ["ORDERS", "SIGNATURE_BYTES", "SignatureCheck", "is_well_formed"]

SIGNATURE_BYTES: Final = 64
"""`r || s`, 32 bytes each, big-endian. Never DER."""

_SCALAR_BYTES: Final = SIGNATURE_BYTES // 2

ORDERS: Final = {
    Curve.K256: 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    Curve.P256: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
}
"""The order of each group: the bound of `r`, and twice that of `s`."""

_BOUNDS: Final = {
    curve: (order.to_bytes(_SCALAR_BYTES, "big"), (order // 2).to_bytes(_SCALAR_BYTES, "big"))
    for curve, order in ORDERS.items()
}
_ZERO: Final = bytes(_SCALAR_BYTES)


class SignatureCheck(NamedTuple):
    """A question: is this well-formed, and ECDSA over the SHA-256 of these bytes by this key?"""

    key: PublicKey
    signed_bytes: bytes
    signature: bytes
    """As it was sent, of whatever length."""


def is_well_formed(curve: Curve, signature: bytes) -> bool:
    """Tell whether a signature has the one form that the protocol accepts: raw, in range, low-S."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    order, half_order = _BOUNDS[curve]
    return _ZERO < signature[:_SCALAR_BYTES] < order and _ZERO < signature[_SCALAR_BYTES:] <= half_order
