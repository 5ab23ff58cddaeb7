"""Bytes read as choices, so that a fuzzer that knows nothing but bytes edits what has a structure.

A coverage-guided search cannot guess a SHA-256. It therefore writes scripts: which block to change and how; the hashes
and links above the change are made right again, as whoever builds a hostile repository would.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import reduce
from typing import Any, Final, TypeVar

from cbor2 import CBORTag, dumps

from edgerelay.atproto.cid import Cid, cid_for_cbor, cid_to_link
from edgerelay.atproto.dagcbor import decode
from edgerelay.atproto.mst import EMPTY_ROOT
from edgerelay.errors import WireError
from edgerelay_dev.network.car import Block

__all__ = ["Script", "edit_block", "edit_value"]

_T = TypeVar("_T")

_DEEP: Final[list[Any]] = reduce(lambda inner, _: [inner], range(40), [])

ODD: Final[Sequence[Any]] = (
    None,
    True,
    0,
    1,
    -1,
    2**53,
    2**63,
    -(2**64),
    1.5,
    "",
    "a",
    "é" * 9,
    "app.bsky.feed.post/self",
    "did:web:example.com",
    "2222222222222",
    b"",
    bytes(36),
    bytes(64),
    b"a/" + bytes(range(33, 127)),
    {},
    {"": None},
    [],
    [None],
    _DEEP,
    cid_to_link(EMPTY_ROOT),
    CBORTag(42, b""),
    CBORTag(42, "text"),
    CBORTag(43, bytes(37)),
)
"""Values that stand where others are expected."""


class Script:
    """Reads choices from bytes; where they end, every further choice is the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        """The next bytes, fewer at the end."""
        self._at += count
        return self._data[self._at - count : self._at]

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))

    def number(self, below: int) -> int:
        """A number; one byte of the script if that can say it."""
        return int.from_bytes(self.take(1 if below <= 1 << 8 else 2), "big") % below

    def choice(self, options: Sequence[_T]) -> _T:
        """One of some."""
        return options[self.number(len(options))]


def edit_value(script: Script, value: Any, links: Sequence[Cid] = ()) -> Any:
    """Change one place in a value: exchange, remove or repeat what stands there.

    Args:
        links: what an exchanged link may lead to.
    """
    if isinstance(value, dict | list) and value:
        place = script.choice(list(value) if isinstance(value, dict) else range(len(value)))
        edited: Any = value.copy()
        match script.number(8):
            case 0:
                del edited[place]
            case 1 if isinstance(edited, list):
                edited.insert(place, edited[place])
            case 1:
                edited[script.choice(("", "sig", "zzz"))] = edited[place]
            case _:
                edited[place] = edit_value(script, edited[place], links)
        return edited
    if links and script.number(2):
        return cid_to_link(script.choice(links))
    if isinstance(value, bytes) and script.number(2):
        return _edit_bytes(script, value)
    if isinstance(value, str) and script.number(2):
        return _edit_bytes(script, value.encode()).decode(errors="replace")
    return script.choice(ODD)


def edit_block(script: Script, blocks: list[Block]) -> dict[Cid, Cid]:
    """Change a block in place, and every block above it; returns what became of which CID."""
    index = script.number(len(blocks))
    old = blocks[index]
    data = _edited(script, old.data, [block.cid for block in blocks])
    blocks[index] = Block(cid_for_cbor(data), data)
    renamed: dict[Cid, Cid] = {}
    waiting = [(old.cid, blocks[index].cid)]
    while waiting and len(renamed) < len(blocks):
        before, after = waiting.pop()
        renamed[before] = after
        for number, (cid, data) in enumerate(blocks):
            if data.find(before) >= 0 and number != index:
                above = data.replace(before, after)
                blocks[number] = Block(cid_for_cbor(above), above)
                waiting.append((cid, blocks[number].cid))
    return renamed


def _edited(script: Script, data: bytes, links: Sequence[Cid]) -> bytes:
    """Change a value if there is one, else bytes."""
    if script.number(4):
        with suppress(WireError):
            return dumps(edit_value(script, decode(data), links), canonical=True)
    return _edit_bytes(script, data)


def _edit_bytes(script: Script, data: bytes) -> bytes:
    at, removed = script.number(len(data) + 1), script.number(4)
    return data[:at] + script.take(script.number(4)) + data[at + removed :]
