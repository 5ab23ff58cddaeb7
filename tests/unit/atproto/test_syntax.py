"""Identifier syntaxes. Spec: atproto DID, handle, NSID, record key, TID, AT-URI scheme, Lexicon ("datetime")."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto import syntax
from tests.vectors import lines

CHECKS: dict[str, tuple[Callable[[str], bool], int, int]] = {
    "did": (syntax.is_did, 24, 18),
    "handle": (syntax.is_handle, 71, 48),
    "nsid": (syntax.is_nsid, 25, 27),
    "recordkey": (syntax.is_record_key, 16, 11),
    "tid": (syntax.is_tid, 4, 9),
    "datetime": (syntax.is_datetime, 35, 45),
    "aturi": (syntax.is_at_uri, 23, 72),
}


@pytest.mark.parametrize("name", CHECKS)
def test_published_cases(shared_data: Path, name: str) -> None:
    is_valid, valid_count, invalid_count = CHECKS[name]
    folder = shared_data / "vectors/atproto-interop-tests/syntax"
    valid = lines(folder / f"{name}_syntax_valid.txt")
    invalid = lines(folder / f"{name}_syntax_invalid.txt")
    assert [text for text in valid if not is_valid(text)] == []
    assert [text for text in invalid if is_valid(text)] == []
    assert (len(valid), len(invalid)) == (valid_count, invalid_count)


def test_datetimes_that_only_look_right(shared_data: Path) -> None:
    texts = lines(shared_data / "vectors/atproto-interop-tests/syntax/datetime_parse_invalid.txt")
    assert len(texts) == 7
    assert [text for text in texts if syntax.is_datetime(text)] == []


@pytest.mark.parametrize("is_valid", [check for check, _, _ in CHECKS.values()] + [syntax.is_repo_path])
def test_a_line_break_at_the_end_is_not_overlooked(is_valid: Callable[[str], bool]) -> None:
    for text in (
        "did:plc:ewvi7nxzyoun6zhxrhs64oiz",
        "atproto.com",
        "app.bsky.feed.post",
        "self",
        "3jzfcijpj2z2a",
        "2026-11-23T08:00:00.000Z",
        "at://atproto.com/app.bsky.feed.post/self",
        "app.bsky.feed.post/self",
    ):
        assert not is_valid(text + "\n")


@pytest.mark.parametrize("is_valid", [check for check, _, _ in CHECKS.values()] + [syntax.is_repo_path])
@given(text=st.text(alphabet="didplcweb:./-_~%atTZ:0123456789é\u0661\n ", max_size=60))
def test_only_ascii_without_spaces_is_ever_valid(is_valid: Callable[[str], bool], text: str) -> None:
    if is_valid(text):
        assert text.isascii()
        assert text.split() == [text]


class TestLengths:
    def test_did(self) -> None:
        longest = "did:web:" + "a" * (syntax.MAX_DID_CHARS - 8)
        assert syntax.is_did(longest)
        assert not syntax.is_did(longest + "a")

    def test_handle(self) -> None:
        label = "a" * 61
        longest = f"{label}.{label}.{label}.{label}.abcde"
        assert len(longest) == syntax.MAX_HANDLE_CHARS
        assert syntax.is_handle(longest)
        assert not syntax.is_handle("a" + longest)

    def test_record_key(self) -> None:
        assert syntax.is_record_key("a" * syntax.MAX_RECORD_KEY_CHARS)
        assert not syntax.is_record_key("a" * (syntax.MAX_RECORD_KEY_CHARS + 1))

    def test_nsid(self) -> None:
        longest = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61, "e" * 63])
        assert len(longest) == syntax.MAX_NSID_CHARS
        assert syntax.is_nsid(longest)
        assert not syntax.is_nsid("f." + longest)

    def test_at_uri(self) -> None:
        assert not syntax.is_at_uri("at://did:web:" + "a" * syntax.MAX_AT_URI_CHARS)


class TestRepoPath:
    def test_is_a_collection_and_a_record_key(self) -> None:
        assert syntax.is_repo_path("app.bsky.feed.post/3jzfcijpj2z2a")
        assert syntax.is_repo_path("app.bsky.actor.profile/self")
        assert syntax.is_repo_path("com.example.thing/a:b~c_d-e.f")

    @pytest.mark.parametrize(
        "path",
        [
            "",
            "/",
            "app.bsky.feed.post",
            "app.bsky.feed.post/",
            "/app.bsky.feed.post/self",
            "app.bsky.feed.post/self/more",
            "app.bsky.feed.post/self/",
            "app.bsky.feed.post/.",
            "app.bsky.feed.post/..",
            "app.bsky/self",
            "app.bsky.feed.post/a b",
            "app.bsky.feed.post/" + "a" * 513,
            "k/1",
        ],
    )
    def test_is_nothing_else(self, path: str) -> None:
        assert not syntax.is_repo_path(path)


def test_plc_dids() -> None:
    assert syntax.is_plc_did("did:plc:ewvi7nxzyoun6zhxrhs64oiz")
    for did in (
        "did:plc:ewvi7nxzyoun6zhxrhs64oi",
        "did:plc:ewvi7nxzyoun6zhxrhs64oizz",
        "did:plc:EWVI7NXZYOUN6ZHXRHS64OIZ",
        "did:plc:ewvi7nxzyoun6zhxrhs64oi1",
        "did:web:example.com",
        "did:plc:ewvi7nxzyoun6zhxrhs64oiz\n",
    ):
        assert not syntax.is_plc_did(did)
