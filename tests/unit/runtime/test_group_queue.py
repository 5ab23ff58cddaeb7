"""The queue's contract, over the implementation in memory; the platform's is tried end to end."""

from __future__ import annotations

import pytest

from edgerelay.runtime.group_queue import GroupQueue, QueueError
from edgerelay.runtime.memory import MemoryQueue
from tests.coroutines import finished


def test_what_is_sent_is_there_and_what_is_refused_is_said() -> None:
    memory = MemoryQueue()
    queue: GroupQueue = memory
    finished(queue.send("one"))
    memory.problem = "down"
    with pytest.raises(QueueError, match="down"):
        finished(queue.send("two"))
    memory.problem = ""
    finished(queue.send("three"))
    assert memory.messages == ["one", "three"]
