"""Which blocks a reader with a filter need not read.

The facts of a block answer for all of its events; what cannot be ruled out may match. What a filter is is not asked
here: it comes as a function over `Contents`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from edgerelay.archive.block import Contents
from edgerelay.archive.container_index import PlacedBlock

__all__ = ["MayMatch", "passed_blocks"]

MayMatch: TypeAlias = Callable[[Contents], bool]
"""Whether an event in a block may match; False is certain."""


def passed_blocks(blocks: Sequence[PlacedBlock], cursor: int, may_match: MayMatch) -> int:
    """How many of the first blocks hold nothing from `cursor` on that matches, and nothing is missing between them.

    Args:
        blocks: in order; the first ends at or behind the cursor.
    """
    at = cursor
    for count, block in enumerate(blocks):
        contents = block.facts.contents
        if contents.prev_seq >= at or may_match(contents):
            return count
        at = contents.last_seq + 1
    return len(blocks)
