"""Signatures on CPython; the contract itself is in tests/unit/runtime/test_signatures.py."""

from __future__ import annotations

import pytest

from edgerelay.atproto.keys import key_from_multikey
from edgerelay.atproto.signatures import SignatureCheck
from edgerelay_dev.network.key import CURVES, derive_key
from edgerelay_dev.signatures import CryptographyChecker

MESSAGE = b"a commit"


@pytest.mark.parametrize("curve", CURVES)
async def test_what_the_simulated_network_signs_is_right(curve: str) -> None:
    keys = [derive_key(curve, name) for name in ("alice", "bob")]
    checks = [
        SignatureCheck(key_from_multikey(key.multikey), MESSAGE, signer.sign(MESSAGE, high_s=high_s))
        for key in keys
        for signer in keys
        for high_s in (False, True)
    ]
    right, wrong = [True, False], [False, False]
    assert await CryptographyChecker().check(checks) == right + wrong + wrong + right
