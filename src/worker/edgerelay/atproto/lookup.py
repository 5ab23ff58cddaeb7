"""Questions about accounts that only somebody else can answer, and the answers, as values.

Who asks keeps the answers and decides when to ask again; who is asked remembers nothing.

Spec: atproto identity guide; sync, "Account Hosting Status".
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from edgerelay.atproto.hosting import HostingStatus
from edgerelay.atproto.identity import Absence, Identity

__all__ = ["MAX_QUESTIONS", "Answer", "IdentityQuestion", "LookupFailure", "Question", "StatusQuestion"]

MAX_QUESTIONS: Final = 30
"""Questions that are asked together. All are answered when the slowest is, so this bounds the wait."""


class IdentityQuestion(NamedTuple):
    """Whose is this DID? Answered by an `Identity` or an `Absence`."""

    did: str


class StatusQuestion(NamedTuple):
    """Does this host serve the account? Answered by a `HostingStatus` or by `Absence.NOT_FOUND`."""

    did: str
    origin: str
    """`https://host[:port]`."""


class LookupFailure(NamedTuple):
    """No answer."""

    problem: str
    """In words; nothing that a stranger wrote is in it."""

    is_directory: bool
    """Whether it says something about the directory, or the way to it, and nothing about the DID."""

    is_final: bool
    """Whether asking again within the minute would make no sense."""

    retry_after_s: int = 0
    """Seconds that whoever was asked wants to be left alone; 0 if nothing was said."""


Question: TypeAlias = IdentityQuestion | StatusQuestion
Answer: TypeAlias = Identity | Absence | HostingStatus | LookupFailure
