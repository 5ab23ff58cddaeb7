"""Which channels the events of a batch may concern, so that it is not asked of each channel whether anything passes.

An event has tokens: its kind, its account, its collections, and its account with each of them. A filter names tokens of
which every event that passes has one. What passes is `filters`' to say, of the few that are left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import product
from typing import Final, TypeAlias

from edgerelay.archive.batch import KINDS
from edgerelay.relay.channel import Channel
from edgerelay.relay.filters import COMMIT, Filter, Token

__all__ = ["MAX_TOKENS", "MOST_TOKENS", "Interests", "tokens_of"]

MAX_TOKENS: Final = 100
"""Tokens of one filter. One with more is looked at for each batch."""

MOST_TOKENS: Final = 40_000
"""Tokens of all filters together, of some 200 bytes each. Filters beyond it are looked at for each batch."""

_Index: TypeAlias = dict[Token, list[Channel]]


class Interests:
    """Channels by the tokens of their filters."""

    def __init__(self) -> None:
        self._by_token: _Index = {}
        self._tokens: dict[Channel, tuple[Token, ...]] = {}
        self._others: dict[Channel, None] = {}
        """Those that may want anything."""

        self._count = 0

    @property
    def names_tokens(self) -> bool:
        """Whether it matters which tokens a batch has."""
        return bool(self._tokens)

    def add(self, channel: Channel) -> None:
        """A channel that is not here."""
        tokens = tokens_of(channel.filter)
        if tokens is None or self._count + len(tokens) > MOST_TOKENS:
            self._others[channel] = None
            return
        self._tokens[channel] = tokens
        self._count += len(tokens)
        for token in tokens:
            self._by_token.setdefault(token, []).append(channel)

    def remove(self, channel: Channel) -> None:
        """A channel that is here."""
        if channel in self._others:
            del self._others[channel]
            return
        tokens = self._tokens.pop(channel)
        self._count -= len(tokens)
        for token in tokens:
            channels = self._by_token[token]
            channels.remove(channel)
            if not channels:
                del self._by_token[token]

    def concerned(self, tokens: Iterable[Token]) -> Collection[Channel]:
        """The channels for which an event with one of these tokens may be."""
        found = dict(self._others)
        by_token = self._by_token
        for token in tokens:
            if token in by_token:
                found.update(dict.fromkeys(by_token[token]))
        return found


def tokens_of(wanted: Filter) -> tuple[Token, ...] | None:
    """The tokens of a filter; None if it has too many, or none that say enough."""
    kinds = wanted.kinds or frozenset(KINDS)
    names = wanted.collections if wanted.names_collections and not wanted.prefixes else None
    tokens: Iterable[Token]
    if wanted.dids:
        is_narrow = names is not None and kinds == {COMMIT} and len(wanted.dids) * len(names) <= MAX_TOKENS
        tokens = product(wanted.dids, names or ()) if is_narrow else wanted.dids
    elif names is not None:
        tokens = (names if COMMIT in kinds else frozenset()) | (kinds - {COMMIT})
    elif wanted.kinds:
        tokens = kinds
    else:
        return None
    return found if len(found := tuple(tokens)) <= MAX_TOKENS else None
