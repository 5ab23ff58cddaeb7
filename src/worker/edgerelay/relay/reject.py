"""Why an event was not passed on: a closed list, each reason a metric series from the start.

Every reason is the peer's fault or a plain repeat; what is dropped is one event, what survives is the stream. The table
for operators and PDS authors is docs/validation.md, which a test compares with this enum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

__all__ = ["FRAME_REASONS", "MESSAGE_REASONS", "RejectCounts", "RejectReason"]


class RejectReason(StrEnum):
    """One reason for which a frame or an event is dropped."""

    TEXT_FRAME = "text_frame"
    """A text message on a stream of binary ones."""

    OVERSIZE_FRAME = "oversize_frame"
    """A message larger than 5,000,000 bytes."""

    BAD_ENCODING = "bad_encoding"
    """Not two CBOR maps in deterministic encoding."""

    BAD_HEADER = "bad_header"
    """A header without a usable `op` or `t`."""

    UNKNOWN_OP = "unknown_op"
    """An `op` that this protocol does not have."""

    UNKNOWN_KIND = "unknown_kind"
    """A `t` that this relay does not know."""

    LEGACY_KIND = "legacy_kind"
    """`#handle`, `#migrate` or `#tombstone`, which must no longer be sent."""

    MISSING_FIELD = "missing_field"
    """A required field is not there."""

    WRONG_TYPE = "wrong_type"
    """A field has a type that the lexicon does not allow."""

    BAD_VALUE = "bad_value"
    """A field has the right type and the wrong form, such as a `rev` that is no TID."""

    TOO_MANY_OPS = "too_many_ops"
    """A commit of more than 200 operations."""

    BLOCKS_TOO_LARGE = "blocks_too_large"
    """`blocks` larger than 2,000,000 bytes, or 10,000 for `#sync`."""

    SEQ_ORDER = "seq_order"
    """A sequence number that does not increase on one connection."""

    STALE_REV = "stale_rev"
    """A `rev` that is not newer than the account's last one."""


FRAME_REASONS: Final[Mapping[str, RejectReason]] = {
    "oversize": RejectReason.OVERSIZE_FRAME,
    "encoding": RejectReason.BAD_ENCODING,
    "header": RejectReason.BAD_HEADER,
    "unknown_op": RejectReason.UNKNOWN_OP,
}
"""What a `FrameError` code means."""

MESSAGE_REASONS: Final[Mapping[str, RejectReason]] = {
    "missing_field": RejectReason.MISSING_FIELD,
    "wrong_type": RejectReason.WRONG_TYPE,
    "bad_value": RejectReason.BAD_VALUE,
    "too_many_ops": RejectReason.TOO_MANY_OPS,
    "too_large": RejectReason.BLOCKS_TOO_LARGE,
}
"""What a `MessageError` code means."""


class RejectCounts:
    """How often each reason was met; all of them from zero."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(RejectReason, 0)

    def add(self, reason: RejectReason) -> None:
        """Count one event."""
        self._counts[reason] += 1

    def __iter__(self) -> Iterator[tuple[RejectReason, int]]:
        return iter(self._counts.items())

    @property
    def total(self) -> int:
        """All reasons together."""
        return sum(self._counts.values())
