"""The command `edgerelay`: one name for what developers and operators run.

Each subcommand is a module with a docstring, `add_arguments(parser)` and `run(options) -> int`, entered in `COMMANDS`.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from typing import Protocol, cast

__all__ = ["COMMANDS", "Command", "main"]

COMMANDS = {
    "run": "edgerelay_dev.offline.run",
    "probe": "edgerelay_dev.probe.run",
    "segments": "edgerelay_dev.operator.segments",
    "cursor": "edgerelay_dev.operator.cursor",
    "archive": "edgerelay_dev.operator.archive",
    "reindex": "edgerelay_dev.operator.reindex",
}
"""The module of each subcommand."""


INTERRUPTED = 128 + signal.SIGINT
"""The exit status by which a shell reports a command that was interrupted."""


class Command(Protocol):
    """What a module offers to become a subcommand; the first line of its docstring is the help."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it, and return the exit status."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run the subcommand that it names."""
    parser = argparse.ArgumentParser(prog="edgerelay", description="Run, test and operate EdgeRelay.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands = {name: cast(Command, importlib.import_module(module)) for name, module in COMMANDS.items()}
    for name, command in commands.items():
        description = (command.__doc__ or "").strip()
        command.add_arguments(
            subparsers.add_parser(
                name,
                help=description.partition("\n")[0],
                description=description,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        )
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is stopped
    try:
        return commands[options.command].run(options)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
