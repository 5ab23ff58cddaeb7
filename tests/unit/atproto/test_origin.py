"""Origins. Spec: RFC 6454; sync, "Security Concerns"."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.origin import (
    is_public_host,
    is_public_origin,
    normalize_origin,
    origin_of_host_url,
    same_origin,
)

PUBLIC = ["https://pds.example.com", "https://pds.example.com:8443", "HTTPS://PDS.Example.COM:443", "https://1.a--b.co"]
PLAIN = ["http://pds.example.com", "http://pds.example.com:2583"]
LOCAL = ["http://localhost:2583", "https://localhost", "http://127.0.0.1:80", "http://[::1]", "HTTP://LocalHost:1"]

ADDRESSES = [
    "1.1.1.1",
    "127.0.0.2",
    "127.1",
    "127.0.0.1.",
    "10.0.0.1",
    "169.254.169.254",
    "192.168.0.1",
    "0",
    "0.0.0.0",
    "2130706433",
    "0x7f000001",
    "0x7f.0x0.0x0.0x1",
    "0177.0.0.1",
    "017700000001",
    "1.2.3.0x4",
    "[::]",
    "[::1%25lo]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:0:0:1]",
    "[fe80::1]",
    "[fd00::1]",
    "[2606:4700::1111]",
    "::1",
]
"""Every spelling of an address that a URL parser takes for one, and some that it does not."""

NAMES = [
    "",
    "pds",
    "localhost.",
    "pds.localhost",
    "pds.local",
    "PDS.Internal",
    "pds.home.arpa",
    "pds.example",
    "pds.invalid",
    "hidden.onion",
    "pds..example.com",
    ".example.com",
    "-pds.example.com",
    "pds_1.example.com",
    "p\u212as.example.com",  # the Kelvin sign, which lower-cases to k
    "\uff11\uff12\uff17.0.0.1",  # digits in full width
    "loc\u24d0lhost",
    "a." * 127 + "com",
]
"""Names that are not on the internet, or are none."""

WRITINGS = [
    "https://user@pds.example.com",
    "https://user:password@pds.example.com",
    "https://@pds.example.com",
    "https://pds.example.com/",
    "https://pds.example.com/xrpc",
    "https://pds.example.com?x",
    "https://pds.example.com#x",
    "https://pds.example.com\\@127.0.0.1",
    "https://pds.example.com%2f",
    "https://pds.example.com:",
    "https://pds.example.com:0",
    "https://pds.example.com:65536",
    "https://pds.example.com:443443",
    "https://pds.example.com:+443",
    "https://pds.example.com:\u0664\u0664\u0663",
    "https:pds.example.com",
    "https:///pds.example.com",
    "https://pds.example.com\n",
    " https://pds.example.com",
    "https://pds.example.com ",
    "https://pds.\texample.com",
    "pds.example.com",
    "wss://pds.example.com",
    "ftp://pds.example.com",
    "file:///etc/passwd",
    "javascript://pds.example.com",
    "",
]
"""What is not an origin, or more than one."""


class TestPublic:
    @pytest.mark.parametrize("origin", PUBLIC)
    def test_a_host_on_the_internet_over_tls(self, origin: str) -> None:
        assert is_public_origin(origin)
        assert is_public_origin(origin, allow_local=True)

    @pytest.mark.parametrize("origin", PLAIN + LOCAL)
    def test_plain_http_and_this_machine_only_where_allowed(self, origin: str) -> None:
        assert not is_public_origin(origin)
        assert is_public_origin(origin, allow_local=True)

    @pytest.mark.parametrize("allow_local", [False, True])
    @pytest.mark.parametrize("host", ADDRESSES + NAMES)
    def test_addresses_and_private_names_never(self, host: str, *, allow_local: bool) -> None:
        assert not is_public_host(host)
        for origin in (f"https://{host}", f"https://{host}:8443"):
            assert not is_public_origin(origin, allow_local=allow_local)

    @pytest.mark.parametrize("allow_local", [False, True])
    @pytest.mark.parametrize("text", WRITINGS)
    def test_only_an_origin_is_one(self, text: str, *, allow_local: bool) -> None:
        assert not is_public_origin(text, allow_local=allow_local)
        assert normalize_origin(text) is None or text.startswith("wss")

    @given(st.integers(0, 2**32 - 1), st.sampled_from(["d", "#x", "#o"]), st.integers(1, 4))
    def test_no_spelling_of_an_address(self, address: int, base: str, parts: int) -> None:
        """The last part of a spelling holds all the bytes that the parts before it leave."""
        leading = [address >> 24 & 255, address >> 16 & 255, address >> 8 & 255][: parts - 1]
        numbers = [*leading, address & (256 ** (5 - parts) - 1)]
        written = ".".join([format(number, base).replace("0o", "0") for number in numbers])
        assert not is_public_origin(f"https://{written}")
        assert not is_public_host(written)


def test_an_origin_has_one_form() -> None:
    assert normalize_origin("HTTPS://PDS.Example.com:443") == "https://pds.example.com"
    assert normalize_origin("http://localhost:0080") == "http://localhost"
    assert normalize_origin("https://[::1]:80") == "https://[::1]:80"
    assert normalize_origin("pds.example.com") is None


def test_a_host_is_asked_where_it_is_subscribed_to() -> None:
    assert origin_of_host_url("wss://pds.example.com") == "https://pds.example.com"
    assert origin_of_host_url("ws://localhost:2583") == "http://localhost:2583"
    assert origin_of_host_url("https://pds.example.com") == "https://pds.example.com"


class TestSame:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("https://pds.example.com", "https://pds.example.com"),
            ("https://pds.example.com", "https://PDS.example.com:443"),
            ("https://pds.example.com", "wss://pds.example.com"),
            ("http://pds.example.com", "ws://pds.example.com:80"),
            ("wss://pds.example.com:8443", "https://pds.example.com:8443"),
        ],
    )
    def test_written_differently(self, one: str, other: str) -> None:
        assert same_origin(one, other)
        assert same_origin(other, one)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("https://pds.example.com", "https://pds2.example.com"),
            ("https://pds.example.com", "http://pds.example.com"),
            ("https://pds.example.com:80", "http://pds.example.com:80"),
            ("https://pds.example.com", "https://pds.example.com:8443"),
            ("https://pds.example.com", "https://pds.example.com."),
            ("pds.example.com", "pds.example.com"),
            ("", ""),
        ],
    )
    def test_different_or_none(self, one: str, other: str) -> None:
        assert not same_origin(one, other)
        assert not same_origin(other, one, allow_local=True)

    def test_the_names_of_this_machine_are_one_only_where_allowed(self) -> None:
        names = ["ws://localhost:2583", "http://127.0.0.1:2583", "http://[::1]:2583"]
        for one in names:
            for other in names:
                assert same_origin(one, other, allow_local=True)
                assert same_origin(one, other) == (one == other)
        assert not same_origin(names[0], "http://127.0.0.1:2584", allow_local=True)
