"""Why an event was not passed on: a closed list, each reason a metric series from the start.

Every reason is the peer's fault or a plain repeat; what is dropped is one event, what survives is the stream. Each says
in a sentence what it means, for whoever is refused; docs/validation.md, which a test compares with this, says more.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Self

from edgerelay.atproto.commit import CommitFault
from edgerelay.atproto.mst import TreeFault

__all__ = ["COMMIT_REASONS", "FRAME_REASONS", "MESSAGE_REASONS", "TOLERABLE", "TREE_REASONS", "RejectReason"]


class RejectReason(StrEnum):
    """One reason for which a frame or an event is dropped."""

    meaning: str
    """What is wrong, in one sentence."""

    def __new__(cls, word: str, meaning: str) -> Self:
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning = meaning
        return member

    TEXT_FRAME = "text_frame", "A text message on a stream of binary ones."
    OVERSIZE_FRAME = "oversize_frame", "A message larger than 5,000,000 bytes."
    BAD_ENCODING = "bad_encoding", "Not two CBOR maps in deterministic encoding."
    BAD_HEADER = "bad_header", "A header without a usable `op` or `t`."
    UNKNOWN_OP = "unknown_op", "An `op` that this protocol does not have."
    UNKNOWN_KIND = "unknown_kind", "A `t` that this relay does not know."
    LEGACY_KIND = "legacy_kind", "`#handle`, `#migrate` or `#tombstone`, which must no longer be sent."
    MISSING_FIELD = "missing_field", "A required field is not there."
    WRONG_TYPE = "wrong_type", "A field has a type that the lexicon does not allow."
    BAD_VALUE = "bad_value", "A field has the right type and the wrong form, such as a `rev` that is no TID."
    TOO_MANY_OPS = "too_many_ops", "A commit of more than 200 operations."
    BLOCKS_TOO_LARGE = "blocks_too_large", "`blocks` larger than 2,000,000 bytes, or 10,000 for `#sync`."
    SEQ_ORDER = "seq_order", "A sequence number that does not increase on one connection."
    STALE_REV = "stale_rev", "A `rev` that is not newer than the account's last one."
    FUTURE_REV = "future_rev", "A `rev` whose time lies more than five minutes ahead of our clock."
    BAD_CAR = "bad_car", "`blocks` is not a CAR whose blocks are in bounds and hash to their CIDs."
    MISSING_BLOCK = "missing_block", "The CAR lacks its commit, or a record that was created or updated."
    BAD_COMMIT = "bad_commit", "The commit is not an object of version 3 in deterministic encoding."
    COMMIT_MISMATCH = "commit_mismatch", "The commit object has another CID, account or `rev` than the message."
    BAD_TREE = "bad_tree", "A tree node breaks the rules of the format."
    PARTIAL_TREE = "partial_tree", "The CAR lacks a tree node without which the operations cannot be undone."
    BAD_OPS = "bad_ops", "The operations contradict each other or what the tree holds."
    MISSING_PREV_DATA = "missing_prev_data", "A commit that is not an account's first lacks `prevData`."
    INVERSION_MISMATCH = "inversion_mismatch", "Undoing the operations leads to another tree than `prevData`."
    NO_IDENTITY = "no_identity", "The DID does not resolve: it is unknown, or the host of its document does not answer."
    UNUSABLE_IDENTITY = "unusable_identity", "The DID resolves to nothing usable: an unsupported method or document."
    TOMBSTONED = "tombstoned", "The DID was given up for good."
    NO_SIGNING_KEY = "no_signing_key", "The DID document has no signing key that can be used."
    WRONG_HOST = "wrong_host", "The DID document names another host than the one that sent the event."
    BAD_SIGNATURE = "bad_signature", "The commit is not signed by the account's present key, in the one form allowed."
    INACTIVE_ACCOUNT = "inactive_account", "A commit or `#sync` of an account that is not active."


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

COMMIT_REASONS: Final[Mapping[CommitFault, RejectReason]] = {
    CommitFault.ROOT: RejectReason.COMMIT_MISMATCH,
    CommitFault.MISSING: RejectReason.MISSING_BLOCK,
    CommitFault.MALFORMED: RejectReason.BAD_COMMIT,
    CommitFault.DISAGREES: RejectReason.COMMIT_MISMATCH,
}
"""What a `CommitError` means."""

TREE_REASONS: Final[Mapping[TreeFault, RejectReason]] = {
    TreeFault.MALFORMED: RejectReason.BAD_TREE,
    TreeFault.PARTIAL: RejectReason.PARTIAL_TREE,
    TreeFault.OPERATIONS: RejectReason.BAD_OPS,
    TreeFault.MISMATCH: RejectReason.INVERSION_MISMATCH,
}
"""What a `TreeError` means."""

TOLERABLE: Final = frozenset(
    {
        RejectReason.BAD_TREE,
        RejectReason.PARTIAL_TREE,
        RejectReason.BAD_OPS,
        RejectReason.MISSING_PREV_DATA,
        RejectReason.INVERSION_MISMATCH,
        RejectReason.NO_IDENTITY,
    }
)
"""What a lenient relay passes on and counts, as deployed relays pass it on unseen."""
