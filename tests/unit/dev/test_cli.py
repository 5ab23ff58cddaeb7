"""The command `edgerelay`: subcommands come from modules, and say what they do."""

from __future__ import annotations

import importlib

import pytest

from edgerelay_dev.cli import COMMANDS, main


def test_help_lists_every_command_with_the_first_line_of_its_module(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    for name, module in COMMANDS.items():
        documentation = importlib.import_module(module).__doc__
        assert documentation is not None
        assert f"{name} {documentation.partition(chr(10))[0]}" in printed


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    assert f"usage: edgerelay {name}" in capsys.readouterr().out


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["fly"])
    assert caught.value.code == 2
    assert "fly" in capsys.readouterr().err
