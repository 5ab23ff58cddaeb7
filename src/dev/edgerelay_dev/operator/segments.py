"""List, print, verify and export what is in the archive: groups and segments.

    ls      the objects, one line each
    cat     the events as text, one line each
    verify  whether all is there and says the truth of itself; names what is not
    export  the events as Jetstream lines (--jsonl), or as frames (--frames): each behind its length, u32 big-endian

Events come in the order of their numbers, each once, however many objects hold it. By time, DID and collection, what
cannot match is not read; how much was read is said on stderr, and so is every object that could not be. The exit status
is 1 if there was any, or if something is missing between.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from edgerelay.archive.block import MAX_SEQ, Codecs
from edgerelay.archive.codec import BROTLI, ZLIB, ZlibCodec
from edgerelay.archive.container_index import ContainerIndex
from edgerelay.archive.jetstream import RenderError, render
from edgerelay.atproto.timestamp import datetime_text
from edgerelay.runtime.objects import ObjectReader, ObjectStoreError
from edgerelay_dev.brotli_codec import BrotliCodec
from edgerelay_dev.operator.catalogue import ArchivedObject, Catalogue, OpenedObject, Problem, newest
from edgerelay_dev.operator.event_text import event_text
from edgerelay_dev.operator.progress import progress, tell
from edgerelay_dev.operator.selection import Selection
from edgerelay_dev.operator.store_argument import add_store_arguments, open_store
from edgerelay_dev.operator.time_argument import FORMS, moment_argument
from edgerelay_dev.operator.timeline import ArchivedEvent, Timeline
from edgerelay_dev.operator.verification import Verification

__all__ = ["CODECS", "add_arguments", "run"]

CODECS: Final[Codecs] = {BROTLI: BrotliCodec(), ZLIB: ZlibCodec()}

FRAME_LENGTH_BYTES: Final = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    listing = actions.add_parser("ls", help="list the objects")
    printing = actions.add_parser("cat", help="print the events as text")
    verifying = actions.add_parser("verify", help="check everything against everything")
    exporting = actions.add_parser("export", help="write the events as Jetstream lines or as frames")
    for each in (listing, printing, verifying, exporting):
        add_store_arguments(each)
        wanted = each.add_argument_group("what is wanted", f"moments are {FORMS}")
        wanted.add_argument("--since", type=moment_argument, default=0, metavar="MOMENT", help="from then on")
        wanted.add_argument("--until", type=moment_argument, default=MAX_SEQ + 1, metavar="MOMENT", help="before then")
        if each is not verifying:
            wanted.add_argument("--did", action="append", default=[], help="of this account; may be repeated")
            wanted.add_argument("--collection", action="append", default=[], help="that write to it; may be repeated")
    form = exporting.add_mutually_exclusive_group(required=True)
    form.add_argument("--jsonl", action="store_true", help="the lines of Jetstream v1; #sync has none")
    form.add_argument("--frames", action="store_true", help="as subscribers get them: u32 big-endian length, frame")
    exporting.add_argument("--out", type=Path, help="file to write (default: stdout)")


def run(options: argparse.Namespace) -> int:
    """Do it, and tell whether anything is wrong."""
    problems: list[Problem] = []

    def report(problem: Problem) -> None:
        problems.append(problem)
        tell(f"{problem.where}: {problem.what}")

    try:
        with open_store(options) as objects:
            asyncio.run(_ACTIONS[options.action](options, objects, report))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has enough; without this, the interpreter would complain about it when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ObjectStoreError, OSError) as error:
        print(f"edgerelay segments: {error}", file=sys.stderr)
        return 1
    return 1 if problems else 0


def _selection(options: argparse.Namespace) -> Selection:
    dids, collections = getattr(options, "did", ()), getattr(options, "collection", ())
    return Selection(options.since, options.until, frozenset(dids), frozenset(collections))


async def _list(options: argparse.Namespace, objects: ObjectReader, report: Callable[[Problem], None]) -> None:
    catalogue, selection = Catalogue(objects, report), _selection(options)
    everything = await catalogue.list()
    current = {each.key for each in newest(everything)}
    inside = [each for each in everything if selection.overlaps(each.name.first_seq, each.name.last_seq)]
    listed = events = size_bytes = 0
    with progress(len(inside), "objects", prints=True) as done:
        async for opened in catalogue.open_all(inside):
            done()
            if opened is not None and selection.may_match(opened.index):
                print(_object_line(opened, is_current=opened.key in current))
                listed, size_bytes = listed + 1, size_bytes + opened.size_bytes
                events += _event_count(opened.index)
    print(f"{listed:,} of {len(everything):,} objects, {size_bytes:,} bytes, {events:,} events", file=sys.stderr)


def _object_line(opened: OpenedObject, *, is_current: bool) -> str:
    index = opened.index
    dids = "?" if index.did_filter is None else f"{index.did_filter.hash_count:,}"
    collections = "?" if index.collections is None else f"{len(index.collections):,}"
    return (
        f"{datetime_text(index.first_seq)} {datetime_text(index.last_seq)} {opened.size_bytes:>13,} bytes"
        f" {len(index.blocks):>5,} blocks {_event_count(index):>9,} events {dids:>7} DIDs"
        f" {collections:>4} collections  {opened.key}{'' if is_current else '  (there is a newer generation)'}"
    )


def _event_count(index: ContainerIndex) -> int:
    return sum(block.facts.contents.event_count for block in index.blocks)


async def _verify(options: argparse.Namespace, objects: ObjectReader, report: Callable[[Problem], None]) -> None:
    catalogue, selection = Catalogue(objects, report), _selection(options)
    everything = await catalogue.list()
    inside = [each for each in everything if selection.overlaps(each.name.first_seq, each.name.last_seq)]
    verification = Verification(catalogue, CODECS)
    with progress(len(inside), "objects") as done:
        await verification.run(inside, done)
    for stream, seen in verification.seen.items():
        print(f"{stream}: {seen}")


async def _print(options: argparse.Namespace, objects: ObjectReader, report: Callable[[Problem], None]) -> None:
    async for event in _events(options, objects, report, prints=True):
        print(event_text(event))


async def _export(options: argparse.Namespace, objects: ObjectReader, report: Callable[[Problem], None]) -> None:
    selection, skipped = _selection(options), Counter[str]()
    with _output(options.out) as out:
        async for event in _events(options, objects, report, prints=options.out is None):
            if options.frames:
                out.write(len(event.frame).to_bytes(FRAME_LENGTH_BYTES, "big") + event.frame)
                continue
            try:
                rendering = render(event.frame)
            except RenderError as error:
                report(Problem(f"event {event.seq}", str(error)))
                continue
            for line in rendering.lines:
                if selection.wants_collection(line.collection):
                    out.write(line.json + b"\n")
            skipped.update(str(each.reason) for each in rendering.skipped)
    if skipped:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in skipped.most_common())
        print(f"operations without a line: {reasons}", file=sys.stderr)


async def _events(
    options: argparse.Namespace, objects: ObjectReader, report: Callable[[Problem], None], *, prints: bool
) -> AsyncIterator[ArchivedEvent]:
    catalogue = Catalogue(objects, report)
    timeline = Timeline(catalogue, _selection(options), CODECS)
    inside: list[ArchivedObject] = timeline.inside(await catalogue.list())
    with progress(len(inside), "objects", prints=prints) as done:
        async for event in timeline.events(inside, done):
            yield event
    print(timeline.counts, file=sys.stderr)


@contextmanager
def _output(path: Path | None) -> Iterator[BinaryIO]:
    if path is None:
        yield sys.stdout.buffer
    else:
        with path.open("wb") as file:
            yield file


_ACTIONS: Final[dict[str, Any]] = {"ls": _list, "cat": _print, "verify": _verify, "export": _export}
