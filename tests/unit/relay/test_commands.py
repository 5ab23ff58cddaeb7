"""Commands: the closed list of what a relay can ask for. That each is carried out is in runtime/test_interpreter.py."""

from __future__ import annotations

from edgerelay.relay import commands


def test_every_command_is_in_the_list() -> None:
    assert set(str(commands.Command).split(" | ")) == set(commands.__all__) - {"Command"}
