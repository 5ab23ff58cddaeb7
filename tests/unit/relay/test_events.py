"""Events: the closed list of what can happen, each of which a relay answers."""

from __future__ import annotations

from typing import Any

import pytest

from edgerelay.config import Settings
from edgerelay.relay import events
from edgerelay.relay.accounts import AccountStatus, MemoryAccounts
from edgerelay.relay.events import (
    DirectoryChanged,
    EventsVerified,
    FramesReceived,
    LogFilled,
    ShardAcked,
    ShardAsked,
    ShardClosed,
    ShardOpened,
    StatusDecided,
    StatusTold,
    TextReceived,
    TimePassed,
    UpstreamClosed,
    UpstreamFailed,
    UpstreamOpened,
)
from edgerelay.relay.relay import Relay
from edgerelay.relay.restored import Restored

NOW_US = 1_795_000_000_000_000
EXAMPLES = [
    TimePassed(),
    UpstreamOpened(1, None, ""),
    UpstreamFailed(1, "refused", 0, 0),
    UpstreamClosed(1, "closed 1006"),
    FramesReceived(1, [b"", b"\xa0"]),
    TextReceived(1),
    EventsVerified([]),
    DirectoryChanged(is_down=True),
    DirectoryChanged(is_down=False),
    StatusDecided("did:web:pds.test", AccountStatus.TAKENDOWN),
    StatusTold("did:web:pds.test", True),
    StatusTold("did:web:pds.test", None),
    LogFilled(full=True),
    LogFilled(full=False),
    ShardAsked("s", "weur"),
    ShardOpened("s"),
    ShardClosed("s"),
    ShardAcked("s", 0, 0),
]


def test_every_event_is_in_the_list() -> None:
    listed = set(str(events.Event).split(" | "))
    assert listed == set(events.__all__) - {"Event"} == {type(example).__name__ for example in EXAMPLES}


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("before", [None, *EXAMPLES], ids=lambda event: type(event).__name__)
def test_a_relay_answers_every_event_in_every_order(before: Any, event: Any) -> None:
    relay = Relay(Settings(upstream="wss://pds.test"), Restored(1), MemoryAccounts(), lambda: 0.0, NOW_US)
    for each in (TimePassed(), before or TimePassed(), event, event):
        assert isinstance(relay.handle(each, NOW_US), list)
