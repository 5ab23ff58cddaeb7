"""The port that checks signatures, and the packing of checks for libraries that JavaScript calls.

A batch crosses into JavaScript once for each curve, as one buffer of rows, because a crossing costs more than what it
carries. What JavaScript does with the rows is in `cloudflare`.

Spec: atproto cryptography: ECDSA with SHA-256 on P-256 and K-256, raw and low-S signatures alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final, Protocol

from edgerelay.atproto.keys import Curve, PublicKey
from edgerelay.atproto.signatures import SignatureCheck, is_well_formed
from edgerelay.errors import InvariantError

__all__ = ["P256_POINTS", "CheckRows", "PackedChecker", "SignatureChecker", "k256_rows", "p256_rows"]

P256_POINTS: Final = 1_024
"""Uncompressed points that are kept. Each is a square root, 200 us in the Worker, and takes 0.4 KB: few accounts have
a key of this curve."""

_LENGTH_BYTES: Final = 4

CheckRows = Callable[[bytes], Awaitable[bytes]]
"""Takes the rows of some well-formed checks of one curve, and answers a byte for each: 1 if it is right."""


class SignatureChecker(Protocol):
    """Checks signatures of both curves."""

    async def check(self, checks: Sequence[SignatureCheck]) -> list[bool]:
        """Tell of each check, in order, whether the signature is right.

        Nothing that a peer sends makes it raise: a signature that is not well-formed is wrong, and no library is asked.
        A check takes 0.1 to 0.3 ms in the Worker, in which nothing else runs; whoever asks bounds the batch.

        Raises:
            InvariantError: a key was not checked when it was read, or the library failed.
        """


class PackedChecker:
    """`SignatureChecker` over two functions, one for each curve, that take packed rows."""

    def __init__(self, check_k256: CheckRows, check_p256: CheckRows) -> None:
        self._curves = (Curve.K256, k256_rows, check_k256), (Curve.P256, p256_rows, check_p256)

    async def check(self, checks: Sequence[SignatureCheck]) -> list[bool]:
        """Sort out what is not well-formed, ask for the rest of each curve at once, put the answers in order."""
        right = [False] * len(checks)
        for curve, pack, check_rows in self._curves:
            asked = [
                index
                for index, each in enumerate(checks)
                if each.key.curve is curve and is_well_formed(curve, each.signature)
            ]
            if asked:
                answers = await check_rows(pack([checks[index] for index in asked]))
                if len(answers) != len(asked):
                    raise InvariantError(f"{len(answers)} answers to {len(asked)} checks of signatures")
                for index, answer in zip(asked, answers, strict=True):
                    right[index] = answer == 1
        return right


def k256_rows(checks: Iterable[SignatureCheck]) -> bytes:
    """Pack well-formed checks: digest (32 bytes), signature (64), compressed point (33)."""
    return b"".join([sha256(each.signed_bytes).digest() + each.signature + each.key.point for each in checks])


def p256_rows(checks: Iterable[SignatureCheck]) -> bytes:
    """Pack well-formed checks: uncompressed point (65 bytes), signature (64), length (4, big-endian), signed bytes.

    WebCrypto hashes by itself, and has to accept no other form of a point.
    """
    return b"".join([_uncompressed(each.key) + each.signature + _sized(each.signed_bytes) for each in checks])


@lru_cache(P256_POINTS)
def _uncompressed(key: PublicKey) -> bytes:
    return key.uncompressed()


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data
