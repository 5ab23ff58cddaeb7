"""The purger: takes the events of accounts out of the hot log and out of every object of the archive.

    the hot log, batch by batch ──▶ the bucket, object by object, again and again until a whole pass finds nothing

Accounts that wait when a pass begins share it.
An object that holds something is put as a new generation, then the old one is taken away. While that goes on, the
archiver may copy what was not purged yet; so the last pass begins `SETTLE_US` after anything was found, when whatever
had read the old bytes has ended. A pass may take hours, and stand still for as long as RelayState does; so it goes
through the folders as copies do. Each step is short and can be repeated: a crash costs some work done twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from itertools import islice
from typing import Final, TypeAlias

from edgerelay.archive.block import BlockFacts, Codecs, check_packed
from edgerelay.archive.container_errors import ContainerCorrupt
from edgerelay.archive.container_index import ContainerIndex
from edgerelay.archive.did_filter import DidFilter, hash_did
from edgerelay.archive.object_names import Folder, ObjectName, own_names
from edgerelay.archive.purge import purge_batch, purge_block, purged_container
from edgerelay.errors import EdgeRelayError, InvariantError
from edgerelay.runtime.audit import Audit
from edgerelay.runtime.container_objects import read_block, read_index
from edgerelay.runtime.hot_log import HotLog
from edgerelay.runtime.objects import ObjectMissingError, ObjectStore
from edgerelay.runtime.ports import LogSink
from edgerelay.runtime.purges import Purge, Purges

__all__ = ["SETTLE_US", "Purger"]

SETTLE_US: Final = 1_200_000_000
"""Microseconds after which nobody holds bytes any more that he read before: an invocation of the platform ends within
15 minutes, and a group is stored within seconds."""

LOG_BATCHES: Final = 200
"""Heads of batches of the hot log that are looked at in one step: 60 ms."""

STEP_OBJECTS: Final = 20
"""Objects that are looked at in one step. Of each the index is read, and of most nothing else."""

REST_US: Final = 1_000_000
"""Microseconds between two steps."""

RETRY_US: Final = 60_000_000
"""Microseconds between a step that failed and the next try."""

FOLDERS: Final = (Folder.GROUPS, Folder.FIREHOSE, Folder.JETSTREAM, Folder.BLOBS)
"""The order in which bytes are copied: what is moved before a pass has met it, the pass meets later. Lines are joined
within their folder, but only those that lie beside a group of their own generation, which the pass has met."""

PURGED: Final = "purged"
"""The entry of the audit that says that it is done."""


_Pause: TypeAlias = "Callable[[], Awaitable[None]]"


class Purger:
    """One relay's. `run` is to be called whenever a step may be due."""

    def __init__(
        self,
        objects: ObjectStore,
        codecs: Codecs,
        purges: Purges,
        audit: Audit,
        log: Callable[[], HotLog],
        sink: LogSink,
        clock: Callable[[], int],
    ) -> None:
        """`log` gives the hot log as it is now: a storage that fails replaces it."""
        self._objects = objects
        self._codecs = codecs
        self._purges = purges
        self._audit = audit
        self._log = log
        self._sink = sink
        self._clock = clock
        self._is_running = False
        self._next_us = 0
        self._waiting = self._purges.next() is not None

    @property
    def is_due(self) -> bool:
        """Whether `run` would do something."""
        is_resting = 0 < self._next_us - self._clock() <= SETTLE_US
        return self._waiting and not (self._is_running or is_resting)

    def order(self, did: str) -> None:
        """Purge what there is of an account, which has no further events from now on."""
        now_us, log = self._clock(), self._log()
        self._purges.save(Purge(did, 0, log.last_seq, "", now_us, now_us))
        self._waiting, self._next_us = True, 0

    def cancel(self, did: str) -> None:
        """Purge nothing more of an account; what is gone is gone."""
        self._purges.remove(did)

    async def run(self, pause: _Pause) -> None:
        """Do one step.

        Args:
            pause: awaited between two blocks that are rewritten, and between two objects.
        """
        if not self.is_due:
            return
        self._is_running = True
        try:
            purge, now_us = self._purges.next(), self._clock()
            self._waiting = purge is not None
            self._next_us = max(now_us + REST_US, purge.begun_us if purge else 0)
            if purge is not None and purge.begun_us <= now_us:
                await self._step(purge, pause)
        except EdgeRelayError as error:
            self._next_us = self._clock() + RETRY_US
            self._sink.write("error", "purge_failed", {"problem": str(error)})
        finally:
            self._is_running = False

    async def _step(self, purge: Purge, pause: _Pause) -> None:
        if purge.log_seq < purge.end_seq:
            self._purges.save(self._purge_log(purge))
            return
        purges = self._purges.on_pass(purge) if purge.after else self._purges.begin_pass(self._clock())
        names = await self._names_behind(purge.after)
        for name in own_names(names):
            found, unread = await self._purge_object(name, [each.did for each in purges], pause)
            if found or unread:
                purges = [self._noted(each, found, unread) for each in purges]
                self._save_wanted(purges)
            await pause()
        if names:
            self._save_wanted([each._replace(after=names[-1]) for each in purges])
        else:
            for each in filter(self._is_wanted, purges):
                self._end_pass(each)

    def _noted(self, purge: Purge, found: Collection[str], unread: Collection[str]) -> Purge:
        is_found = purge.did in found
        if not is_found and purge.did not in unread:
            return purge
        return purge._replace(changed_us=self._clock(), objects=purge.objects + is_found)

    async def _names_behind(self, after: str) -> list[str]:
        """The next names of a pass; none if it has come to its end."""
        begun = FOLDERS.index(Folder(after.partition("/")[0])) if after else 0
        for folder in FOLDERS[begun:]:
            prefix = f"{folder}/"
            if names := await self._objects.names(prefix, after if after.startswith(prefix) else "", STEP_OBJECTS):
                return names
        return []

    def _is_wanted(self, purge: Purge) -> bool:
        """Whether it was neither cancelled meanwhile nor ordered anew."""
        now = self._purges.find(purge.did)
        return now is not None and now.end_seq == purge.end_seq

    def _save_wanted(self, purges: Iterable[Purge]) -> None:
        for purge in filter(self._is_wanted, purges):
            self._purges.save(purge)

    def _end_pass(self, purge: Purge) -> None:
        """Nothing is left, or the whole bucket is looked at once more."""
        settled_us = purge.changed_us + SETTLE_US
        if purge.begun_us >= settled_us:
            # Said twice after a crash in between, rather than not at all.
            self._audit.add(self._clock(), PURGED, purge.did, f"{purge.objects} objects were rewritten")
            self._purges.remove(purge.did)
        else:
            self._purges.save(purge._replace(after="", begun_us=settled_us))

    def _purge_log(self, purge: Purge) -> Purge:
        log = self._log()
        heads = list(islice(log.heads_after(purge.log_seq), LOG_BATCHES))
        for head in heads:
            batch = log.read(head.first_seq) if purge.did in head.dids else None
            purged = None if batch is None else purge_batch(batch, purge.did)
            if purged is not None:
                log.replace(purged)
        is_done = len(heads) < LOG_BATCHES or heads[-1].last_seq >= purge.end_seq
        if is_done:
            log.wipe()
        return purge._replace(log_seq=purge.end_seq if is_done else heads[-1].last_seq)

    async def _purge_object(
        self, name: ObjectName, dids: Iterable[str], pause: _Pause
    ) -> tuple[Collection[str], Collection[str]]:
        """Rewrite an object for each account of which it holds something; returns these, and those of which it may
        hold something that cannot be read: for others the pass may be the last."""
        found, unread = list[str](), list[str]()
        index: ContainerIndex | None = None
        for did in dids:
            try:
                index = index or await read_index(self._objects, name.key)
                rewritten = await self._rewrite(name, index, did, pause)
            except ObjectMissingError:
                break  # taken away since it was listed, and what took its place is met later
            except InvariantError as error:
                self._sink.write("error", "purge_failed", {"problem": f"{name.key}: {error}"})
                unread.append(did)
                continue
            if rewritten is not None:
                name, index = rewritten
                found.append(did)
        return found, unread

    async def _rewrite(
        self, name: ObjectName, index: ContainerIndex, did: str, pause: _Pause
    ) -> tuple[ObjectName, ContainerIndex] | None:
        """Put the next generation of an object in its place, if it holds something of the account.

        What is rewritten is not kept until it is stored, but made twice: the first time tells its size.
        """
        purged = await self._purged_facts(name, index, did, pause)
        if not purged:
            return None
        container = purged_container(index, [purged.get(block.offset, block.facts) for block in index.blocks])

        async def parts() -> AsyncIterator[bytes]:
            yield container.start
            for block in index.blocks:
                packed = await read_block(self._objects, name.key, block)
                check_packed(packed)
                if block.offset in purged:
                    packed = purge_block(packed, index.stream, did, self._codecs) or packed
                    await pause()
                yield packed.packed
            yield container.end

        rewritten = container.name(name.folder)
        if rewritten == name:  # it bears another generation than it has, and what is new would be deleted as old
            raise ContainerCorrupt(f"{name.key} is of generation {index.generation}")
        await self._objects.stream(rewritten.key, container.size_bytes, parts())
        await self._objects.delete([name.key])
        return rewritten, container.index

    async def _purged_facts(
        self, name: ObjectName, index: ContainerIndex, did: str, pause: _Pause
    ) -> dict[int, BlockFacts]:
        """What the blocks that hold something will be, by their places."""
        did_hash = hash_did(did)
        purged: dict[int, BlockFacts] = {}
        if not _may_hold(index.did_filter, did_hash):
            return purged
        for block in index.blocks:
            if _may_hold(block.facts.contents.did_filter, did_hash):
                packed = await read_block(self._objects, name.key, block)
                rewritten = purge_block(packed, index.stream, did, self._codecs)
                if rewritten is not None:
                    purged[block.offset] = rewritten.facts
                await pause()
        return purged


def _may_hold(did_filter: DidFilter | None, did_hash: bytes) -> bool:
    return did_filter is None or did_filter.may_contain(did_hash)
