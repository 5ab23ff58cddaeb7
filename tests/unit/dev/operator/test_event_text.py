"""Each kind of event has a line that people can read."""

from __future__ import annotations

import pytest

from edgerelay_dev.operator.event_text import event_text
from edgerelay_dev.operator.timeline import ArchivedEvent
from tests.archives import TID, an_event
from tests.oracle import frames

DID = frames.did(1)
SEQ = 1_795_442_400_000_010
START = f"2026-11-23T14:00:00.000010Z {SEQ}"


def text(kind: str, frame: bytes) -> str:
    return event_text(ArchivedEvent(SEQ, kind, DID, (), frame))


def test_commits_say_what_they_do() -> None:
    event = an_event(SEQ, DID, "a.b.c", "a.b.d")
    assert event_text(event) == f"{START} #commit   {DID} create a.b.c/{TID}, create a.b.d/{TID}"


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (frames.account(SEQ, DID), " active"),
        (frames.account(SEQ, DID, active=False, status="takendown"), " takendown"),
        (frames.account(SEQ, DID, active=False), " inactive"),
    ],
)
def test_accounts_say_their_status(frame: bytes, said: str) -> None:
    assert text("#account", frame) == f"{START} #account  {DID}{said}"


def test_identities_say_their_handle() -> None:
    assert text("#identity", frames.identity(SEQ, DID, handle="a.test")) == f"{START} #identity {DID} a.test"
    assert text("#identity", frames.identity(SEQ, DID)) == f"{START} #identity {DID}"


def test_a_sync_says_nothing_more() -> None:
    assert text("#sync", frames.sync(SEQ, DID, TID)) == f"{START} #sync     {DID}"


def test_a_frame_that_cannot_be_read_is_no_reason_to_stop() -> None:
    assert "(cannot be read: " in text("#commit", b"\xff")
