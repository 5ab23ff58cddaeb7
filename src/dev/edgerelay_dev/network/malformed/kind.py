"""What a malformed frame is: a name, what is wrong with it, what ought to become of it, and how it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from edgerelay_dev.network.malformed.material import Material
from edgerelay_dev.network.websocket import Opcode

__all__ = ["Fate", "Malformed", "malformed"]


class Fate(StrEnum):
    """What a careful relay does with a frame."""

    REJECT = "reject"
    """Not passed on: something about it is wrong."""
    SKIP = "skip"
    """Not passed on, and nobody is to blame: not for relays, or not known to them."""
    REPEAT = "repeat"
    """Not passed on: it was there before, or is older than what was."""
    KEEP = "keep"
    """Passed on: odd, but allowed."""
    BREAK = "break"
    """Passed on, and the account counts as out of step: valid in itself, but not what came before it."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """One kind; call it with material to get a frame."""

    name: str
    description: str
    fate: Fate
    build: Callable[[Material], bytes]
    opcode: Opcode = Opcode.BINARY

    def __call__(self, material: Material) -> bytes:
        """Make the frame that will stand at `material.seq`."""
        return self.build(material)


def malformed(fate: Fate, opcode: Opcode = Opcode.BINARY) -> Callable[[Callable[[Material], bytes]], Malformed]:
    """Make a kind of a function: its name, its docstring as the description."""

    def wrap(build: Callable[[Material], bytes]) -> Malformed:
        assert build.__doc__ is not None
        return Malformed(build.__name__, build.__doc__, fate, build, opcode)

    return wrap
