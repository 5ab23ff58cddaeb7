"""A personal data server: its accounts, and the stream of what happens to them.

Every method that changes something emits what the reference PDS emits for it, in its order, and returns the
messages. Nothing here waits or does I/O; `pds` serves it.

Spec: atproto account ("Lifecycle"), sync; order of events: observed from the reference PDS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import quote, urlsplit

from edgerelay_dev.network.account import Account, open_account, plc_did
from edgerelay_dev.network.clock import Clock, datetime_text
from edgerelay_dev.network.event import Event, account_event, commit_event, encode_event, identity_event, sync_event
from edgerelay_dev.network.faults import Faults
from edgerelay_dev.network.log import Emitted, EventLog
from edgerelay_dev.network.plc import Directory
from edgerelay_dev.network.repository import Commit, Record, Write
from edgerelay_dev.network.server import websocket_url
from edgerelay_dev.network.subscription import StreamRules
from edgerelay_dev.network.websocket import Opcode

__all__ = ["CURVE_OF_TURN", "Host"]

CURVE_OF_TURN = ("k256", "k256", "k256", "p256")
"""Curves of accounts that did not ask for one, in turn; almost all of the real network is K-256."""


class Host:
    """One host; `url` must be set, once its port is known, before accounts are made."""

    def __init__(
        self,
        index: int,
        seed: str,
        directory: Directory,
        clock: Clock,
        log: EventLog,
        rules: StreamRules,
        *,
        legacy_documents: bool = False,
    ) -> None:
        self.index = index
        self.seed = seed
        self.url = ""
        self.log = log
        self.rules = rules
        self.faults = Faults()
        self.accounts: dict[str, Account] = {}
        self.listeners: list[Callable[[Emitted], None]] = []
        """Called with every message, as it is emitted."""
        self.directory = directory
        self._clock = clock
        self._legacy_documents = legacy_documents
        self._opened = 0

    @property
    def hostname(self) -> str:
        """Name and port, as relays know hosts."""
        return urlsplit(self.url).netloc

    @property
    def ws_url(self) -> str:
        """Where to subscribe, without the path."""
        return websocket_url(self.url)

    @property
    def frames(self) -> list[Emitted]:
        """Everything emitted and not yet forgotten, in order: the exact bytes."""
        return self.log.messages

    def now_us(self) -> int:
        """The present time."""
        return self._clock()

    def now_text(self) -> str:
        """The present time as events tell it."""
        return datetime_text(self._clock())

    def next_tid(self, account: Account) -> str:
        """A new rev or record key of an account."""
        return account.clock.next(self._clock())

    def emit(self, event: Event) -> Emitted:
        """Append any event to the stream."""
        return self.emit_frame(lambda seq: encode_event(event, seq))

    def emit_frame(self, frame_for: Callable[[int], bytes], opcode: Opcode = Opcode.BINARY) -> Emitted:
        """Append any bytes to the stream, made for the sequence number that is theirs."""
        message = self.log.append(frame_for, opcode)
        for listen in self.listeners:
            listen(message)
        return message

    def create_account(self, handle: str | None = None, curve: str | None = None, *, web: bool = False) -> Account:
        """Open an account: `#identity`, `#account`, an empty `#commit` and a `#sync` with its rev.

        With `web` its identity is the `did:web` of this host, which can have only one.
        """
        number, self._opened = self._opened, self._opened + 1
        did = f"did:web:{quote(self.hostname, safe='')}" if web else plc_did(f"{self.seed}/{self.index}/{number}")
        if did in self.accounts:
            raise ValueError(f"{did} exists")
        handle = handle or f"user{number}.host{self.index}.test"
        curve = curve or CURVE_OF_TURN[number % len(CURVE_OF_TURN)]
        account = open_account(did, handle, curve, self.seed, self.url)
        self.accounts[did] = account
        self._publish(account)
        self.announce_identity(account)
        self.announce_account(account)
        self.commit(account)
        self.sync(account)
        return account

    def commit(self, account: Account, *writes: Write) -> Emitted:
        """Write records as one commit; without writes, an empty one."""
        change = account.repository.commit(writes, self.next_tid(account), account.key)
        return self.emit(commit_event(account.did, change, self.now_text()))

    def import_records(self, account: Account, records: Iterable[tuple[str, Record]]) -> Emitted:
        """Take in a whole repository's worth of records, told by a single `#sync`."""
        head = account.repository.fill(records, self.next_tid(account), account.key)
        return self.emit(sync_event(account.did, head, self.now_text()))

    def sync(self, account: Account, *, fresh: bool = False) -> Emitted:
        """Declare an account's present state; `fresh` signs a new commit first."""
        head = self._sign_again(account) if fresh else account.repository.head
        assert head is not None
        return self.emit(sync_event(account.did, head, self.now_text()))

    def announce_identity(self, account: Account, *, with_handle: bool = True) -> Emitted:
        """Emit `#identity`."""
        return self.emit(identity_event(account.did, account.handle if with_handle else None, self.now_text()))

    def announce_account(self, account: Account) -> Emitted:
        """Emit `#account` with the present status."""
        return self.emit(account_event(account.did, account.status, self.now_text()))

    def change_handle(self, account: Account, handle: str) -> Emitted:
        """Give an account another handle: directory, then `#identity`."""
        account.handle = handle
        self._publish(account)
        return self.announce_identity(account)

    def rotate_key(self, account: Account, curve: str | None = None, *, empty_commit: bool = False) -> list[Emitted]:
        """Change the signing key: directory, `#identity`, then `#sync`, or an empty `#commit` if asked for."""
        account.next_key(self.seed, curve)
        self._publish(account)
        return [
            self.announce_identity(account),
            self.commit(account) if empty_commit else self.sync(account, fresh=True),
        ]

    def set_status(self, account: Account, status: str | None) -> list[Emitted]:
        """Deactivate, suspend, take down or delete an account, or (None) make it active again.

        Coming back from `deactivated` is told by `#account`, `#identity` and `#sync`, all else by `#account` alone.
        """
        returns = account.status == "deactivated" and status is None
        account.status = status
        messages = [self.announce_account(account)]
        if returns:
            messages += [self.announce_identity(account), self.sync(account)]
        return messages

    def delete_account(self, account: Account, *, purge: bool = True) -> Emitted:
        """Delete an account; like the reference PDS, also from what the stream can replay, unless told not to."""
        if purge:
            did = account.did.encode()
            self.log.purge(lambda message: did in message.frame)
        return self.set_status(account, "deleted")[0]

    def take_over(self, account: Account, source: Host, *, unsigned_import: bool = False) -> list[Emitted]:
        """Move an account here: directory and key change, this host announces it, the old one deactivates it.

        With `unsigned_import` the `#sync` is what the reference PDS sends after a migration: the old host's commit,
        signed with the old key, under a newer rev.
        """
        del source.accounts[account.did]
        self.accounts[account.did] = account
        account.host_url = self.url
        account.next_key(self.seed)
        self._publish(account)
        time = self.now_text()
        source.emit(account_event(account.did, "deactivated", time))
        messages = [self.announce_identity(account), self.announce_account(account)]
        if not unsigned_import:
            return [*messages, self.sync(account, fresh=True)]
        head = account.repository.head
        assert head is not None
        return [*messages, self.emit(sync_event(account.did, head._replace(rev=self.next_tid(account)), time))]

    def reset_sequence(self) -> None:
        """Lose the log and its numbers, as a host restored without its database does; connections are cut."""
        self.log.reset()
        self.faults.drop()

    def _sign_again(self, account: Account) -> Commit:
        return account.repository.sign_again(self.next_tid(account), account.key)

    def _publish(self, account: Account) -> None:
        self.directory.publish(account, legacy=self._legacy_documents)
