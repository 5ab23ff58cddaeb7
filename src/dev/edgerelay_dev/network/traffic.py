"""What accounts do all day: a repeatable sequence of events in the proportions of the real network.

The shares are those of a recording of the whole network (July 2026) and of what its operators describe: nine in ten
commits create one record, seven in ten of those are likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from math import inf
from random import Random
from time import monotonic
from typing import Final

from edgerelay.atproto.cid import cid_for_cbor, cid_to_text
from edgerelay_dev.network.account import Account, plc_did
from edgerelay_dev.network.clock import datetime_text
from edgerelay_dev.network.host import Host
from edgerelay_dev.network.repository import Create, Delete, Record, Update, Write
from edgerelay_dev.network.tid import tid_text

__all__ = ["Traffic", "past_records"]

COLLECTIONS: Final = {
    "app.bsky.feed.like": 70,
    "app.bsky.feed.post": 11,
    "app.bsky.feed.repost": 10,
    "app.bsky.graph.follow": 8,
    "app.bsky.graph.block": 1,
}
"""Weights of the collections that records are created in."""

PROFILE_PATH: Final = "app.bsky.actor.profile/self"

ACTIONS: Final = {"create": 940, "delete": 28, "profile": 8, "several": 10, "identity": 7, "account": 7}
"""Weights of what happens next, in thousandths."""

_SEVERAL_MAX: Final = 10
_WORDS: Final = "the relay keeps every event in order and tells no story twice until the morning comes"
_POST_WORDS: Final = (4, 40)
"""Fewest and most words of a post."""
_BURST_EVENTS: Final = 16
"""Events made at once, at most: other tasks run in between, also when the pace is more than the machine can do."""
_PAST_START_US: Final = 1_680_000_000_000_000
_PAST_SPAN_US: Final = 100_000_000_000_000
"""Old records were written over about three years, from 2023-03 on."""


class Traffic:
    """Makes events at the hosts, in an order that the seed decides."""

    def __init__(self, hosts: Sequence[Host], seed: str) -> None:
        self.hosts = hosts
        self.emitted = 0
        self._random = Random(f"{seed}/traffic")
        self._resting: list[tuple[Host, Account]] = []

    def step(self) -> None:
        """Let one thing happen."""
        host = self._random.choice(self.hosts)
        (action,) = self._random.choices(tuple(ACTIONS), tuple(ACTIONS.values()))
        if action == "account":
            self._rest_or_return(host)
        else:
            account = self._writer(host)
            if action == "identity":
                host.announce_identity(account)
            else:
                host.commit(account, *self._writes(host, account, action))
        self.emitted += 1

    def run(self, count: int) -> None:
        """Let so many things happen."""
        for _ in range(count):
            self.step()

    async def flow(self, rate: float = inf) -> None:
        """Go on until cancelled, at so many events a second, or as fast as it can if that is less."""
        started, done = monotonic(), 0
        while True:
            due = _BURST_EVENTS if rate == inf else int((monotonic() - started) * rate) - done
            count = min(due, _BURST_EVENTS)
            self.run(count)
            done += count
            await asyncio.sleep(0 if rate == inf else max(0, started + (done + 1) / rate - monotonic()))

    def _writer(self, host: Host) -> Account:
        return self._random.choice([account for account in host.accounts.values() if account.active])

    def _rest_or_return(self, host: Host) -> None:
        """Deactivate somebody, or let the one who has rested longest come back: never more than a few are away."""
        active = sum(account.active for account in host.accounts.values())
        resting = next((pair for pair in self._resting if pair[0] is host), None)
        if resting is None and active > 1:
            account = self._writer(host)
            host.set_status(account, "deactivated")
            self._resting.append((host, account))
        elif resting is not None:
            self._resting.remove(resting)
            host.set_status(resting[1], None)
        else:
            host.announce_account(self._writer(host))

    def _writes(self, host: Host, account: Account, action: str) -> list[Write]:
        records = account.repository.records
        if action == "delete" and records:
            return [Delete(self._some_path(records))]
        if action == "profile":
            profile: Record = {
                "$type": "app.bsky.actor.profile",
                "displayName": account.handle,
                "description": _text(self._random),
            }
            return [(Update if PROFILE_PATH in records else Create)(PROFILE_PATH, profile)]
        count = self._random.randint(2, _SEVERAL_MAX) if action == "several" else 1
        creates: list[Write] = [self._create(host, account) for _ in range(count)]
        removed = [Delete(self._some_path(records))] if action == "several" and records else []
        return [*removed, *creates]

    def _create(self, host: Host, account: Account) -> Create:
        collection = _collection(self._random)
        path = f"{collection}/{host.next_tid(account)}"
        return Create(path, _record(self._random, collection, host.now_text()))

    def _some_path(self, records: Mapping[str, object]) -> str:
        return next(islice(records, self._random.randrange(len(records)), None))


def past_records(random: Random, count: int) -> Iterator[tuple[str, Record]]:
    """Make the records of an account that has been writing for years."""
    for index in range(count):
        time_us = _PAST_START_US + _PAST_SPAN_US * index // count + random.randrange(_PAST_SPAN_US // count)
        collection = _collection(random)
        yield (f"{collection}/{tid_text(time_us, index % 1024)}", _record(random, collection, datetime_text(time_us)))


def _collection(random: Random) -> str:
    (collection,) = random.choices(tuple(COLLECTIONS), tuple(COLLECTIONS.values()))
    return collection


def _record(random: Random, collection: str, created_at: str) -> Record:
    record: Record = {"$type": collection, "createdAt": created_at}
    if collection == "app.bsky.feed.post":
        return record | {"text": _text(random), "langs": ["en"]}
    somebody = plc_did(str(random.getrandbits(32)))
    if collection.startswith("app.bsky.graph."):
        return record | {"subject": somebody}
    uri = f"at://{somebody}/app.bsky.feed.post/{tid_text(_PAST_START_US + random.randrange(_PAST_SPAN_US), 0)}"
    return record | {"subject": {"uri": uri, "cid": cid_to_text(cid_for_cbor(uri.encode()))}}


def _text(random: Random) -> str:
    return " ".join(random.choices(_WORDS.split(), k=random.randint(*_POST_WORDS)))
