"""What is kept is a numbered message, or it is damaged."""

from __future__ import annotations

import pytest

from edgerelay.atproto.messages import Account
from edgerelay.errors import WireError
from edgerelay_dev.operator.kept_message import read_message
from tests.oracle import frames

DID = frames.did(1)


def test_a_message_comes_with_its_kind() -> None:
    kind, message = read_message(frames.account(7, DID))
    assert kind == "#account"
    assert isinstance(message, Account)
    assert (message.seq, message.did) == (7, DID)


@pytest.mark.parametrize(
    "frame",
    [b"", b"\xff", frames.error("Oops", ""), frames.frame("#info", {"name": "Hello"}), frames.frame("#account", {})],
)
def test_all_else_is_an_error(frame: bytes) -> None:
    with pytest.raises(WireError):
        read_message(frame)
