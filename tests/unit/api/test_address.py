"""Addresses: one client each, however many an IPv6 network has, and no more of them in the log than needed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.api.address import client_address, network_of
from edgerelay.api.message import Request


def address(text: str | None) -> str:
    return client_address(Request("GET", "/", [], {} if text is None else {"cf-connecting-ip": text}, "1"))


@pytest.mark.parametrize(
    ("text", "client", "network"),
    [
        ("192.0.2.77", "192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:DB8:1:2::1", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.77", "192.0.2.0/24"),
        (None, "", ""),
        ("", "", ""),
        ("nobody", "", ""),
        ("192.0.2.77, 192.0.2.78", "", ""),
        ("2001:db8::1%eth0", "2001:db8::/64", "2001:db8::/48"),
    ],
)
def test_who_counts_together(text: str | None, client: str, network: str) -> None:
    assert address(text) == client
    assert network_of(client) == network


@given(st.text())
def test_whatever_a_header_says(text: str) -> None:
    assert network_of(address(text)) is not None
