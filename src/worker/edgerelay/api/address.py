"""Who a client is, as far as limits go: its address, as the platform tells it.

An IPv6 address counts by its first half, because that is the least that one subscriber of a network is given, and
whoever has it can use any of its addresses.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import Final

from edgerelay.api.message import Request

__all__ = ["client_address", "network_of"]

_HEADER: Final = "cf-connecting-ip"
_SITE_BITS: Final = 64
"""Bits of an IPv6 address that tell its holder."""

_TOLD_BITS: Final = {4: 24, 6: 48}
"""Bits that are written to the log: a network, and not who of it."""


def client_address(request: Request) -> str:
    """Whose connections are counted together; empty where nobody tells, so that those are one client."""
    address = _parse(request.headers.get(_HEADER, ""))
    if isinstance(address, IPv6Address):
        return _network(address, _SITE_BITS)
    return str(address or "")


def network_of(address: str) -> str:
    """The network that an address is in, for the log; `address` is what `client_address` gave."""
    parsed = _parse(address.partition("/")[0])
    return _network(parsed, _TOLD_BITS[parsed.version]) if parsed else ""


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except (AddressValueError, ValueError):
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(address: IPv4Address | IPv6Address, bits: int) -> str:
    kept = int(address) >> (address.max_prefixlen - bits) << (address.max_prefixlen - bits)
    return f"{type(address)(kept)}/{bits}"
