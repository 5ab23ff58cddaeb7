"""Questions and answers as values."""

from __future__ import annotations

from edgerelay.atproto.lookup import IdentityQuestion, LookupFailure, StatusQuestion


def test_the_same_question_is_equal_and_different_ones_are_not() -> None:
    questions = {
        IdentityQuestion("did:web:a.com"),
        IdentityQuestion("did:web:a.com"),
        IdentityQuestion("did:web:b.com"),
        StatusQuestion("did:web:a.com", "https://a.com"),
        StatusQuestion("did:web:a.com", "https://b.com"),
    }
    assert len(questions) == 4


def test_a_failure_says_nothing_of_waiting_by_itself() -> None:
    assert LookupFailure("timeout", is_directory=True, is_final=False).retry_after_s == 0
