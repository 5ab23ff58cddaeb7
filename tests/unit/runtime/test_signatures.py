"""The contract of `SignatureChecker`, over the implementation that exists here; and what the Worker's one packs.

On CPython it is `cryptography`, inside Pyodide it is the Worker's own: its JavaScript, the WebAssembly and WebCrypto.
Spec: atproto cryptography; the oracle is ECDSA in plain arithmetic.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from edgerelay.atproto.identity import parse_document
from edgerelay.atproto.keys import Curve, PublicKey, key_from_did_key
from edgerelay.atproto.messages import Commit, Sync
from edgerelay.atproto.signatures import ORDERS, SignatureCheck, is_well_formed
from edgerelay.errors import InvariantError
from edgerelay.relay.verify import examine
from edgerelay.runtime.signatures import P256_POINTS, PackedChecker, k256_rows, p256_rows
from tests.coroutines import finished
from tests.oracle import ecdsa
from tests.signing import verdicts
from tests.vectors import base64_bytes, capture, did_documents, load_json, messages, recording

MESSAGE = b"what was signed"
SECRET = 0x1F2E3D4C5B6A79887766554433221100
NONCE = 0xC0FFEE
OFF_CURVE = {Curve.K256: b"\x02" + bytes(32), Curve.P256: b"\x02" + b"\xff" * 32}


def key_of(curve: Curve, secret: int) -> PublicKey:
    return ecdsa.public_key(curve, ecdsa.multiply(curve, secret, ecdsa.generator(curve)))


def right(curve: Curve, message: bytes = MESSAGE, secret: int = SECRET, nonce: int = NONCE) -> SignatureCheck:
    """A check that must come out right."""
    return SignatureCheck(key_of(curve, secret), message, ecdsa.sign(curve, secret, message, nonce))


def halves(signature: bytes) -> tuple[int, int]:
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")


@pytest.mark.parametrize("curve", Curve)
class TestOneCheck:
    def test_right(self, curve: Curve) -> None:
        assert verdicts([right(curve)]) == [True]

    @pytest.mark.parametrize("message", [b"", b"\0", bytes(55), bytes(56), bytes(64), bytes(100_000)], ids=len)
    def test_any_length_of_what_was_signed(self, curve: Curve, message: bytes) -> None:
        check = right(curve, message)
        assert verdicts([check, check._replace(signed_bytes=message + b"\0")]) == [True, False]

    def test_another_message(self, curve: Curve) -> None:
        assert verdicts([right(curve)._replace(signed_bytes=MESSAGE + b"!")]) == [False]

    def test_another_key(self, curve: Curve) -> None:
        assert verdicts([right(curve)._replace(key=key_of(curve, SECRET + 1))]) == [False]

    def test_the_negative_of_the_key(self, curve: Curve) -> None:
        check = right(curve)
        negative = PublicKey(curve, bytes([check.key.point[0] ^ 1]) + check.key.point[1:])
        assert verdicts([check._replace(key=negative)]) == [False]

    def test_a_key_of_the_other_curve(self, curve: Curve) -> None:
        (other,) = set(Curve) - {curve}
        assert verdicts([right(curve)._replace(key=key_of(other, SECRET))]) == [False]

    def test_each_bit_of_the_signature_counts(self, curve: Curve) -> None:
        check = right(curve)
        for bit in range(0, 512, 37):
            changed = (int.from_bytes(check.signature, "big") ^ 1 << bit).to_bytes(64, "big")
            assert verdicts([check._replace(signature=changed)]) == [False]

    def test_halves_the_wrong_way_round(self, curve: Curve) -> None:
        r, s = halves(right(curve).signature)
        assert verdicts([right(curve)._replace(signature=ecdsa.raw(s, r))]) == [False]

    def test_high_s_is_wrong_although_the_arithmetic_is_right(self, curve: Curve) -> None:
        r, s = halves(right(curve).signature)
        high = right(curve)._replace(signature=ecdsa.raw(r, ORDERS[curve] - s))
        assert ecdsa.verifies(high)
        assert verdicts([high]) == [False]

    def test_what_is_not_well_formed_is_wrong(self, curve: Curve) -> None:
        check, order = right(curve), ORDERS[curve]
        r, s = halves(check.signature)
        ill = [b"", b"\0", check.signature[:-1], check.signature + b"\0", check.signature * 2, bytes(64), b"\xff" * 64]
        ill += [ecdsa.raw(0, s), ecdsa.raw(r, 0), ecdsa.raw(order, s), ecdsa.raw(r, order), ecdsa.raw(order - 1, order)]
        assert verdicts([check._replace(signature=each) for each in ill]) == [False] * len(ill)

    def test_a_sum_at_infinity_is_wrong(self, curve: Curve) -> None:
        """With this key u1 G and u2 Q cancel, whatever s is."""
        order, r = ORDERS[curve], ecdsa.r_of(curve, NONCE)
        secret = -ecdsa.digest(MESSAGE) * pow(r, -1, order) % order
        assert verdicts([SignatureCheck(key_of(curve, secret), MESSAGE, ecdsa.raw(r, 5))]) == [False]

    def test_a_sum_of_equal_points_is_right(self, curve: Curve) -> None:
        """With this key u1 G and u2 Q are the same point, which a careless addition gets wrong."""
        order, r = ORDERS[curve], ecdsa.r_of(curve, NONCE)
        assert verdicts([right(curve, secret=ecdsa.digest(MESSAGE) * pow(r, -1, order) % order)]) == [True]

    @pytest.mark.parametrize("secret", [1, 2, -1, -2])
    def test_keys_next_to_the_generator(self, curve: Curve, secret: int) -> None:
        assert verdicts([right(curve, secret=secret % ORDERS[curve])]) == [True]

    def test_a_key_that_was_not_checked_is_our_fault(self, curve: Curve) -> None:
        unchecked = right(curve)._replace(key=PublicKey(curve, OFF_CURVE[curve]))
        with pytest.raises(InvariantError):
            verdicts([unchecked])
        assert verdicts([unchecked._replace(signature=b"")]) == [False]
        assert verdicts([right(curve)]) == [True], "a failure must not outlive its batch"


class TestBatches:
    def test_an_empty_one(self) -> None:
        assert verdicts([]) == []

    @pytest.mark.parametrize("curve", Curve)
    def test_one_key_many_times(self, curve: Curve) -> None:
        check = right(curve)
        wrong = check._replace(signed_bytes=b"")
        assert verdicts([wrong, check] * 100) == [False, True] * 100

    def test_answers_stand_in_the_order_of_the_checks(self) -> None:
        draw = random.Random(3)
        known = list(mixture(draw))
        assert {(check.key.curve, verdict) for check, verdict in known} == {
            (c, v) for c in Curve for v in (True, False)
        }
        for size in (1, 2, 3, 7, 40, 300):
            batch = draw.choices(known, k=size)
            assert verdicts([check for check, _ in batch]) == [verdict for _, verdict in batch]

    def test_more_keys_than_points_are_kept(self) -> None:
        curve = Curve.P256
        first = right(curve, secret=1)
        points = [ecdsa.generator(curve)]
        for _ in range(P256_POINTS):
            points.append(ecdsa.add(curve, points[-1], ecdsa.generator(curve)))
        checks = [first._replace(key=ecdsa.public_key(curve, point)) for point in points]
        assert verdicts(checks) == [True] + [False] * P256_POINTS
        assert verdicts(checks[:2]) == [True, False]


def mixture(draw: random.Random) -> Iterator[tuple[SignatureCheck, bool]]:
    """Checks of both curves, right and wrong in several ways, with the oracle's verdict."""
    for curve in Curve:
        keys = [draw.randrange(1, ORDERS[curve]) for _ in range(3)]
        for number in range(9):
            secret, nonce = draw.choice(keys), draw.randrange(1, ORDERS[curve])
            check = right(curve, draw.randbytes(draw.randrange(300)), secret, nonce)
            r, s = halves(check.signature)
            match number % 3:
                case 1:
                    check = check._replace(signed_bytes=draw.randbytes(100))
                case 2:
                    check = check._replace(
                        signature=draw.choice([ecdsa.raw(r, ORDERS[curve] - s), ecdsa.raw(s, r), b""])
                    )
            yield check, is_well_formed(curve, check.signature) and ecdsa.verifies(check)


class TestVectors:
    def test_interop(self, shared_data: Path) -> None:
        cases = load_json(shared_data / "vectors/atproto-interop-tests/crypto/signature-fixtures.json")
        checks = [
            SignatureCheck(
                key_from_did_key(case["publicKeyDid"]),
                base64_bytes(case["messageBase64"]),
                base64_bytes(case["signatureBase64"]),
            )
            for case in cases
        ]
        assert verdicts(checks) == [case["validSignature"] for case in cases]
        assert len(cases) == 6

    def test_recorded_commits_of_the_network(self, shared_data: Path) -> None:
        documents = did_documents(shared_data)
        checks = []
        for message in messages(recording(shared_data)):
            claim = examine(message, lambda _: False)
            key = parse_document(message.did, json.dumps(documents[message.did]).encode()).signing_key
            assert key is not None
            checks.append(SignatureCheck(key, claim.signed_bytes, claim.signature))
        assert len(checks) == 148
        assert verdicts(checks) == [True] * 148
        assert verdicts([check._replace(signed_bytes=check.signed_bytes + b"\0") for check in checks]) == [False] * 148

    @pytest.mark.parametrize(
        ("name", "commit_count", "sync_count", "rotated_since"),
        [("pds1", 835, 51, 54), ("deep", 300, 0, 0), ("arroba", 117, 5, 0)],
    )
    def test_every_captured_event_passes_every_check(
        self, shared_data: Path, name: str, commit_count: int, sync_count: int, rotated_since: int
    ) -> None:
        directory = load_json(shared_data / "capture/plc.json")
        seen: Counter[type] = Counter()
        then, now = [], []
        for message in messages(capture(shared_data, name)):
            claim = examine(message, lambda _: False)
            seen[type(message)] += 1
            entry = directory[message.did]
            latest = parse_document(message.did, json.dumps(entry["doc"]).encode()).signing_key
            assert latest is not None
            # Keys were rotated during the capture: the one that the directory had when the event was made.
            log = [each["operation"] for each in entry["audit"] if each["createdAt"] <= message.time]
            key = key_from_did_key(log[-1]["verificationMethods"]["atproto"])
            then.append(SignatureCheck(key, claim.signed_bytes, claim.signature))
            now.append(then[-1]._replace(key=latest))
        assert (seen[Commit], seen[Sync]) == (commit_count, sync_count)
        right, still_right = sum(verdicts(then)), sum(verdicts(now))
        assert (right, right - still_right) == (commit_count + sync_count, rotated_since)


class TestPacking:
    def test_rows_of_k256(self) -> None:
        one, two = right(Curve.K256), right(Curve.K256, b"")
        first = sha256(MESSAGE).digest() + one.signature + one.key.point
        assert k256_rows([one, two]) == first + sha256(b"").digest() + two.signature + two.key.point

    def test_rows_of_p256(self) -> None:
        one, two = right(Curve.P256), right(Curve.P256, b"")
        first = one.key.uncompressed() + one.signature + b"\0\0\0\x0f" + MESSAGE
        assert p256_rows([one, two]) == first + two.key.uncompressed() + two.signature + b"\0\0\0\0"

    def test_each_curve_is_asked_once_for_what_is_well_formed(self) -> None:
        k256, p256 = right(Curve.K256), right(Curve.P256)
        ill = [k256._replace(signature=b""), p256._replace(signature=bytes(64))]
        library = Library(b"\1\0\1")
        checks = [p256, k256, *ill, k256, p256, p256, k256]
        assert finished(library.checker.check(checks)) == [True, True, False, False, False, False, True, True]
        assert library.asked == [k256_rows([k256] * 3), p256_rows([p256] * 3)]

    def test_nobody_is_asked_for_nothing(self) -> None:
        library = Library(b"")
        assert finished(library.checker.check([])) == []
        assert finished(library.checker.check([right(curve)._replace(signature=b"") for curve in Curve])) == [False] * 2
        assert library.asked == []

    @pytest.mark.parametrize("answers", [b"", b"\1\1"])
    def test_a_library_that_does_not_answer_each_row_has_failed(self, answers: bytes) -> None:
        with pytest.raises(InvariantError, match="answers"):
            finished(Library(answers).checker.check([right(Curve.K256)]))


class Library:
    """Answers whatever it is asked with the same bytes."""

    def __init__(self, answers: bytes) -> None:
        self.asked: list[bytes] = []
        self._answers = answers
        self.checker = PackedChecker(self._check, self._check)

    async def _check(self, rows: bytes) -> bytes:
        self.asked.append(rows)
        return self._answers
