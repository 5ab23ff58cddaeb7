"""What lies in the bucket beside the archive."""

from __future__ import annotations

import pytest

from edgerelay.runtime.exports import Exports
from edgerelay.runtime.memory import MemoryObjects
from edgerelay.runtime.objects import ObjectStoreError
from tests.coroutines import finished

HOSTS = {1: "wss://pds.test", 12: "wss://relay.test:8443"}


class TestHosts:
    def test_they_come_back_by_their_numbers(self) -> None:
        objects = MemoryObjects()
        assert finished(Exports(objects).hosts()) == {}
        finished(Exports(objects).save_hosts(HOSTS))
        assert finished(Exports(objects).hosts()) == HOSTS

    def test_what_is_saved_is_not_saved_again(self) -> None:
        objects = MemoryObjects()
        exports = Exports(objects)
        finished(exports.save_hosts(HOSTS))
        objects.objects.clear()
        finished(exports.save_hosts({**HOSTS, 3: "wss://new.test"}))
        assert objects.objects == {"state/hosts/3": b"wss://new.test"}

    def test_what_failed_is_tried_again(self) -> None:
        objects = MemoryObjects()
        exports = Exports(objects)
        objects.problem = "down"
        with pytest.raises(ObjectStoreError):
            finished(exports.save_hosts(HOSTS))
        objects.problem = ""
        finished(exports.save_hosts(HOSTS))
        assert finished(exports.hosts()) == HOSTS

    def test_what_somebody_else_put_there_is_left_out(self) -> None:
        objects = MemoryObjects()
        objects.objects = {"state/hosts/one": b"wss://pds.test", "state/hosts/2": b"wss://pds.test"}
        assert finished(Exports(objects).hosts()) == {2: "wss://pds.test"}
