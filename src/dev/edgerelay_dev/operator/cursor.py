"""Say what a cursor is: its time, its hour, the names that hold it, and the block, if an archive is named.

A cursor is a time: any moment is one, whether an event has this number or not. Readers get the first event that is not
before it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from datetime import timedelta
from typing import Final

from edgerelay.archive.object_names import Folder, hour_prefix
from edgerelay.atproto.timestamp import datetime_text
from edgerelay.config import Settings
from edgerelay.relay.cursor import Window, resolve_cursor
from edgerelay.relay.sequencer import MIN_TIME_SEQ
from edgerelay.runtime.objects import ObjectReader, ObjectStoreError
from edgerelay_dev.operator.catalogue import Catalogue, OpenedObject, Problem
from edgerelay_dev.operator.store_argument import add_store_arguments, is_store_named, open_store
from edgerelay_dev.operator.time_argument import FORMS, moment_argument

__all__ = ["add_arguments", "described", "holder_line", "run"]

_US_PER_HOUR: Final = 3_600_000_000
_US_PER_DAY: Final = 24 * _US_PER_HOUR
_OF_EVENTS: Final = tuple(folder for folder in Folder if folder is not Folder.BLOBS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("moment", type=moment_argument, help=FORMS)
    add_store_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print it."""
    for line in described(options.moment, time.time_ns() // 1_000):
        print(line)
    if not is_store_named(options):
        return 0
    problems: list[Problem] = []
    try:
        with open_store(options) as objects:
            found = asyncio.run(_holders(objects, options.moment, problems))
    except ObjectStoreError as error:
        print(f"edgerelay cursor: {error}", file=sys.stderr)
        return 1
    for line in found or ["held by     nothing in this archive: every event there is before it"]:
        print(line)
    for problem in problems:
        print(f"{problem.where}: {problem.what}", file=sys.stderr)
    return 1 if problems else 0


def described(cursor: int, now_us: int) -> list[str]:
    """What can be said without an archive, with the settings that are the default."""
    lines = [f"cursor      {cursor}"]
    if cursor >= MIN_TIME_SEQ:
        age = timedelta(seconds=abs(now_us - cursor) // 1_000_000)
        lines += [
            f"time        {datetime_text(cursor)}, {age} {'ago' if cursor <= now_us else 'from now'}",
            f"hour        {datetime_text(cursor - cursor % _US_PER_HOUR)}",
            *(f"named       {hour_prefix(folder, cursor)}" for folder in _OF_EVENTS),
        ]
    return [*lines, f"a reader    {_start(cursor, now_us)}"]


def _start(cursor: int, now_us: int) -> str:
    settings = Settings()
    window = Window(settings.default_replay_hours * _US_PER_HOUR, settings.retention_days * _US_PER_DAY)
    start = resolve_cursor(cursor, window, last_seq=0, now_us=now_us)
    if start.future:
        return "is refused: FutureCursor, unless there are numbers beyond the clock"
    told = ", and is told OutdatedCursor" if start.outdated else ""
    if start.cursor == cursor:
        return "begins there, or is told OutdatedCursor if events from there on are gone"
    why = "it is no time of ours" if cursor < MIN_TIME_SEQ else f"only {settings.retention_days} days are served"
    return f"begins at {datetime_text(start.cursor or 0)}{told}: {why}"


async def _holders(objects: ObjectReader, cursor: int, problems: list[Problem]) -> list[str]:
    """A line for each object of a folder that has the first event that is not before the cursor."""
    catalogue = Catalogue(objects, problems.append)
    behind = [each for each in await catalogue.list() if each.name.last_seq >= cursor]
    lines = []
    for folder in _OF_EVENTS:
        parts = [each for each in behind if each.name.folder is folder]
        first_seq = max(cursor, min([each.name.first_seq for each in parts], default=cursor))
        for each in parts:
            opened = await catalogue.open(each) if each.name.first_seq <= first_seq else None
            if opened is not None and opened.index.last_seq >= cursor:
                lines.append(holder_line(opened, cursor))
    return lines


def holder_line(opened: OpenedObject, cursor: int) -> str:
    """Where in an object a cursor leads; an event at or behind it must be there."""
    following = opened.index.blocks_from(cursor)
    number = len(opened.index.blocks) - len(following)
    block, contents = following[0], following[0].facts.contents
    return (
        f"held by     {opened.key}, block {number + 1} of {len(opened.index.blocks)}: {block.facts.packed_bytes} bytes"
        f" at offset {block.offset}, events {contents.first_seq} to {contents.last_seq}"
    )
