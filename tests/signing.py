"""Checks signatures by what exists where the tests run: inside Pyodide the Worker's own code, else `cryptography`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from functools import cache

from edgerelay.atproto.keys import PublicKey
from edgerelay.atproto.signatures import SignatureCheck
from edgerelay.runtime.signatures import SignatureChecker
from tests.coroutines import finished

__all__ = ["checker", "verdicts", "verifies"]


@cache
def checker() -> SignatureChecker:
    """The one implementation of the port that can run here."""
    if sys.platform == "emscripten":
        from edgerelay.cloudflare.signatures import make_checker

        # Given by tests/pyodide/run_python.mjs in the place of signatures.mjs.
        return make_checker(lambda: importlib.import_module("worker_signatures"))
    from edgerelay_dev.signatures import CryptographyChecker

    return CryptographyChecker()


def verdicts(checks: Sequence[SignatureCheck]) -> list[bool]:
    """Check a batch."""
    return finished(checker().check(checks))


def verifies(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Tell whether a signature is well-formed and right."""
    return verdicts([SignatureCheck(key, message, signature)]) == [True]
