"""Checks signatures with the package `cryptography`, for tests only."""

from __future__ import annotations

from typing import Any

import pytest

from edgerelay.atproto.keys import Curve, PublicKey
from edgerelay.atproto.signatures import is_well_formed

__all__ = ["verifies"]


def verifies(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Tell whether a signature is well-formed and right; skips the test where `cryptography` is missing."""
    pytest.importorskip("cryptography")
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.hashes import SHA256

    if not is_well_formed(key.curve, signature):
        return False
    group: Any = ec.SECP256K1() if key.curve is Curve.K256 else ec.SECP256R1()
    public = ec.EllipticCurvePublicKey.from_encoded_point(group, key.point)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        public.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
