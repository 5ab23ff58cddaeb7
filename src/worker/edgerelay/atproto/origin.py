"""Origins, which is what a host is known by: scheme, name and port.

Says which origins a relay may call because a stranger named them, and which two are the same. It goes by what is
written: that a public name leads to a private address is for the network to refuse.

Spec: RFC 6454, "Comparing Origins"; atproto DID, "Normalization"; atproto handle, "Disallowed TLDs"; sync, "Security
Concerns" (requests to private addresses).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from edgerelay.atproto.syntax import MAX_HANDLE_CHARS, is_handle

__all__ = ["is_public_host", "is_public_origin", "normalize_origin", "origin_of_host_url", "same_origin"]

_ORIGIN: Final = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.IGNORECASE | re.ASCII)
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_MAX_PORT: Final = 65_535
_DISALLOWED_TLDS: Final = (".alt", ".arpa", ".example", ".internal", ".invalid", ".local", ".localhost", ".onion")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")


class _Origin(NamedTuple):
    """In lower case, and always with a port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


def normalize_origin(text: str) -> str | None:
    """Write an origin in the one form that it has: in lower case, without a default port; None if this is none."""
    origin = _parse(text)
    return None if origin is None else str(origin)


def origin_of_host_url(url: str) -> str:
    """Tell where to ask a host that is subscribed to at `wss://host` or `ws://host`; other URLs stay."""
    return "http" + url.removeprefix("ws") if url.startswith("ws") else url


def is_public_host(host: str) -> bool:
    """Tell whether a name can be that of a host on the internet.

    It has two labels at least, and the last one begins with a letter: so no spelling of an IP address is a name.
    """
    return is_handle(host) and not host.lower().endswith(_DISALLOWED_TLDS)


def is_public_origin(text: str, *, allow_local: bool = False) -> bool:
    """Tell whether a relay may call this origin, although a stranger named it.

    Args:
        allow_local: whether plain `http` and this machine may be called, for development.
    """
    origin = _parse(text)
    if origin is None:
        return False
    if allow_local and origin.host in _LOOPBACK:
        return True
    return is_public_host(origin.host) and (allow_local or origin.scheme == "https")


def same_origin(one: str, other: str, *, allow_local: bool = False) -> bool:
    """Tell whether two origins, or URLs of hosts, are one; `wss` is as good as `https`, and `ws` as `http`.

    Args:
        allow_local: whether the names of this machine are one name, for development.
    """
    first, second = _parse(origin_of_host_url(one)), _parse(origin_of_host_url(other))
    if allow_local:
        first, second = _at_home(first), _at_home(second)
    return first is not None and first == second


def _parse(text: str) -> _Origin | None:
    match = _ORIGIN.fullmatch(text)
    if match is None or len(match[2]) > MAX_HANDLE_CHARS:
        return None
    scheme = match[1].lower()
    port = int(match[3]) if match[3] else _DEFAULT_PORTS[scheme]
    return _Origin(scheme, match[2].lower(), port) if 0 < port <= _MAX_PORT else None


def _at_home(origin: _Origin | None) -> _Origin | None:
    return origin._replace(host=_LOOPBACK[0]) if origin is not None and origin.host in _LOOPBACK else origin
