"""Questions about accounts that only somebody else can answer, and the answers, as values.

Who asks keeps the answers and decides when to ask again; who is asked remembers nothing.

Spec: atproto identity guide; sync, "Account Hosting Status".
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from edgerelay.atproto.hosting import HostingStatus
from edgerelay.atproto.identity import Absence, Identity

__all__ = [
    "HASTE_S",
    "MAX_QUESTIONS",
    "PATIENCE_S",
    "Answer",
    "IdentityQuestion",
    "LookupFailure",
    "Question",
    "StatusQuestion",
]

MAX_QUESTIONS: Final = 30
"""Questions that are asked together. All are answered when the slowest is, so this bounds the wait."""


PATIENCE_S: Final = 5
"""Seconds for an answer, all of it: the directory takes 0.1, and a host that takes longer is not worth waiting for."""

HASTE_S: Final = 1
"""Seconds for an answer to a first question, which all others of its batch wait for as well."""


class IdentityQuestion(NamedTuple):
    """Whose is this DID? Answered by an `Identity` or an `Absence`."""

    did: str
    patience_s: int = PATIENCE_S
    """Seconds that the answer may take."""


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
