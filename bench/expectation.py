"""What clients should have got: what a witness of the whole stream got, through the filter of each.

What passes is judged here anew, with a decoder that is not the relay's. The witness itself is compared with the
recording.
"""

from __future__ import annotations

import io
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple
from zlib import crc32

import cbor2

from edgerelay.atproto.timestamp import time_us

__all__ = ["Event", "Got", "Want", "Witness", "check_got", "event_of", "since"]


class Event(NamedTuple):
    """What matters of an event."""

    seq: int
    checksum: int
    """Of the whole frame."""

    essence: int
    """A checksum without number and time, which a replay and the relay replace."""

    kind: str
    did: str
    collections: frozenset[str]
    time_us: int
    """When the host wrote it."""


class Got(NamedTuple):
    """What a client keeps of an event."""

    seq: int
    checksum: int


class Want(NamedTuple):
    """A filter: events of these accounts, and if there are collections, only commits that touch one of them."""

    dids: frozenset[str] = frozenset()
    collections: frozenset[str] = frozenset()

    @property
    def query(self) -> str:
        """As parameters of the firehose."""
        names = [f"dids={each}" for each in sorted(self.dids)]
        names += [f"collections={each}" for each in sorted(self.collections)]
        return "&".join([*names, *["kinds=commit"] * bool(self.collections)])

    def passes(self, event: Event) -> bool:
        """Whether the event is to be delivered."""
        if self.dids and event.did not in self.dids:
            return False
        return not self.collections or not self.collections.isdisjoint(event.collections)


def event_of(frame: bytes) -> Event:
    """Read a frame."""
    stream = io.BytesIO(frame)
    header: dict[str, Any] = cbor2.load(stream)
    body: dict[str, Any] = cbor2.load(stream)
    essence = crc32(cbor2.dumps([header["t"], {**body, "seq": 0, "time": ""}]))
    collections = frozenset([each["path"].partition("/")[0] for each in body.get("ops", ())])
    did = body["repo"] if header["t"] == "#commit" else body["did"]
    return Event(body["seq"], crc32(frame), essence, header["t"], did, collections, time_us(body["time"]))


class Witness:
    """Keeps all events; the listener of a client of the whole stream."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._by_did: dict[str, list[Event]] = {}

    def __call__(self, frame: bytes) -> None:
        event = event_of(frame)
        self.events.append(event)
        self._by_did.setdefault(event.did, []).append(event)

    @property
    def last_seq(self) -> int:
        return self.events[-1].seq if self.events else 0

    def due(self, want: Want) -> list[Got]:
        """Everything that passes."""
        of_accounts = sorted(chain.from_iterable(self._by_did.get(did, ()) for did in want.dids))
        events = of_accounts if want.dids else self.events
        return [Got(event.seq, event.checksum) for event in events if want.passes(event)]

    def check(self, recording: Iterable[bytes]) -> None:
        """Fail unless the events are the first of a recording, those of each account in their order."""
        recorded = [event_of(frame) for frame in islice(recording, len(self.events))]
        found, due = ([(each.did, each.essence) for each in sorted(some, key=_did)] for some in (self.events, recorded))
        if found != due:
            first = next(at for at, (one, other) in enumerate(zip(found, due, strict=False)) if one != other)
            raise AssertionError(f"{len(found)} events are not those recorded: {found[first]} for {due[first]}")


def _did(event: Event) -> str:
    return event.did


def since(due: Sequence[Got], first_seq: int) -> Sequence[Got]:
    """What of it has this number or a larger one."""
    return due[bisect_left(due, (first_seq,)) :]


def check_got(got: Sequence[Got], due: Sequence[Got], first_seq: int, *, is_whole: bool) -> None:
    """Fail unless somebody got what was due from a number on: all of it, or its beginning."""
    due = since(due, first_seq)
    due = due if is_whole else due[: len(got)]
    if got == due:
        return
    missing, extra = sorted(set(due) - set(got)), sorted(set(got) - set(due))
    raise AssertionError(
        f"{len(got)} events instead of {len(due)} from {first_seq} on; {len(missing)} missing {missing[:3]},"
        f" {len(extra)} too much {extra[:3]}; {len(got) - len(set(got))} twice"
    )
