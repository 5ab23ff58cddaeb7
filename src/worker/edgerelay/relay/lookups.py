"""Which identities to ask for, when, and what to make of it if no answer comes.

    wanted ── due, budget ──▶ asked ── answer ──▶ an identity
      ▲                         │
      └── a pause that grows ───┴── failure ──▶ refused after IDENTITY_DEADLINE_S, and not asked again for a while

A DID is asked for once at a time, at most PLC_RPS a second over all of them. What failed before is asked in batches of
its own with more patience, so that a slow answer delays nobody else.

A failure of one DID (it is unknown, its host does not answer) is that account's. A failure of the directory is nobody's
until the directory has answered for somebody else: a *control*, the DID that was answered last, is asked as well, and
tells whose fault it is. If most of the latest look-ups failed, for more than one DID, the directory counts as *down*.
Then nothing is refused, the relay pauses its upstream, and one DID at a time is asked until there is an answer.

It neither asks nor keeps identities.

Spec: atproto DID ("Resolution"); rate limits and caching as the Bluesky documentation advises.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from heapq import heappop, heappush
from typing import Final, NamedTuple, TypeAlias

from edgerelay.atproto.identity import Absence, Identity
from edgerelay.atproto.lookup import LookupFailure
from edgerelay.relay.reject import RejectReason

__all__ = ["Inquiry", "LookupAnswer", "LookupPolicy", "Lookups"]

_US: Final = 1_000_000

BATCH: Final = 6
"""DIDs asked for in one call: as many requests as one invocation may have open, so that none waits for another."""

MAX_CALLS: Final = 16
"""Calls at once: at 80 ms a look-up they carry a thousand a second."""

RETRY_US: Final = 1 * _US
"""The first pause after a failure; each further one is twice as long."""

RETRY_CAP_US: Final = 16 * _US
"""The longest pause of one DID, so that a deadline of a minute sees several attempts."""

REFUSED_US: Final = 300 * _US
"""How long a failure is remembered: the five minutes that the Bluesky documentation advises."""

MAX_REFUSED: Final = 10_000
"""Failures remembered: 2 MB. Beyond it the oldest is forgotten and asked for again."""

LATEST: Final = 10
"""Look-ups that are judged together."""

DOWN_AT: Final = 7
"""Failures of the directory among those at which it counts as down, if more than one DID is among them."""

PROBE_US: Final = 2 * _US
"""Pause between two questions to a directory that is down."""

PROBE_CAP_US: Final = 30 * _US
"""What that pause grows to."""

LOST_US: Final = 90 * _US
"""Time after which a call without an answer counts as failed: far beyond the sum of its own time limits."""


_LOST: Final = LookupFailure("no answer", is_directory=False, is_final=False, retry_after_s=0)


class LookupPolicy(NamedTuple):
    """What an operator chooses."""

    per_second: int
    deadline_s: int


LookupAnswer: TypeAlias = "Identity | Absence | LookupFailure"


class Inquiry(NamedTuple):
    """DIDs to ask for with one call."""

    dids: list[str]
    patient: bool
    """They have failed before: wait longer for each."""


class _Wanted:
    """One DID without an answer."""

    __slots__ = ("asked_us", "due_us", "failed_us", "tries")

    def __init__(self, now_us: int) -> None:
        self.due_us = now_us
        self.asked_us = 0
        """When the question that is under way was asked; 0 if none is."""

        self.failed_us = 0
        """When the deadline began to run; 0 before a failure that is the account's."""

        self.tries = 0


class Lookups:
    """The look-ups of one relay."""

    def __init__(self, policy: LookupPolicy, now_us: int) -> None:
        self._policy = policy
        self._wanted: dict[str, _Wanted] = {}
        self._due: list[tuple[int, str]] = []
        self._calls: deque[tuple[int, frozenset[str]]] = deque()
        self._refused: OrderedDict[str, tuple[int, RejectReason]] = OrderedDict()
        self._latest: deque[str] = deque(maxlen=LATEST)
        """For each of the latest look-ups the DID for which the directory failed, or nothing if it answered."""

        self._control = ""
        self._answered_us = 0
        """When the directory last said something about a DID."""

        self._budget = float(policy.per_second)
        self._budget_us = now_us
        self._probe_us = 0
        self._probe_pause_us = PROBE_US
        self.is_down = False
        """The directory does not answer."""

        self.asked = 0
        self.failed = 0

    @property
    def waiting(self) -> int:
        """How many DIDs have no answer yet."""
        return len(self._wanted)

    @property
    def refusing(self) -> int:
        """How many DIDs are remembered as failed."""
        return len(self._refused)

    def want(self, did: str, now_us: int) -> None:
        """Ask for a DID, unless that is under way."""
        if did not in self._wanted:
            self._wanted[did] = _Wanted(now_us)
            heappush(self._due, (now_us, did))

    def refusal(self, did: str, now_us: int) -> RejectReason | None:
        """Why there is no identity, if that was found out a short while ago."""
        until_us, reason = self._refused.get(did, (0, None))
        if until_us <= now_us:
            self._refused.pop(did, None)
            return None
        return reason

    def forget(self, did: str) -> None:
        """Something about the DID has changed: what failed may succeed now."""
        self._refused.pop(did, None)

    def take_due(self, now_us: int) -> list[Inquiry]:
        """What to ask for now."""
        self._give_up_lost(now_us)
        if self.is_down:
            return self._probe(now_us)
        self._refill(now_us)
        fresh: list[str] = []
        patient: list[str] = []
        room = (MAX_CALLS - len(self._calls)) * BATCH
        while room > len(fresh) + len(patient) and self._budget >= 1 and self._due and self._due[0][0] <= now_us:
            due_us, did = heappop(self._due)
            wanted = self._wanted.get(did)
            if wanted is None or wanted.asked_us or wanted.due_us != due_us:
                continue  # answered, or put off, since it was queued
            self._budget -= 1
            (patient if wanted.tries else fresh).append(did)
        inquiries = [Inquiry(fresh[at : at + BATCH], patient=False) for at in range(0, len(fresh), BATCH)]
        inquiries += [Inquiry(patient[at : at + BATCH], patient=True) for at in range(0, len(patient), BATCH)]
        for inquiry in inquiries:
            self._ask(inquiry.dids, now_us)
        return inquiries

    def answered(self, did: str, answer: LookupAnswer, now_us: int) -> Identity | RejectReason | None:
        """What an answer means: an identity, a refusal, or nothing yet."""
        wanted = self._wanted.get(did)
        if wanted is None or not wanted.asked_us:
            return None
        self._close_call(did)
        if isinstance(answer, LookupFailure):
            self.failed += 1
            if answer.is_directory:
                self._suspect(did, now_us)
        elif did.startswith("did:plc:"):
            self._directory_answers(did, now_us)
        if isinstance(answer, Identity):
            del self._wanted[did]
            self._refused.pop(did, None)
            return answer
        reason = self._judge(wanted, answer, now_us)
        if reason is None:
            retry_after_us = answer.retry_after_s * _US if isinstance(answer, LookupFailure) else 0
            self._put_off(did, wanted, retry_after_us, now_us)
            return None
        del self._wanted[did]
        self._remember(did, reason, now_us)
        return reason

    def wake_us(self) -> int | None:
        """When the passing of time alone will matter; None if never."""
        if self.is_down:
            return self._calls[0][0] + LOST_US if self._calls else self._probe_us
        due = [self._calls[0][0] + LOST_US] if self._calls else []
        if self._due and len(self._calls) < MAX_CALLS:
            refilled_us = self._budget_us + int(max(0.0, 1 - self._budget) * _US / self._policy.per_second)
            due.append(max(self._due[0][0], refilled_us))
        return min(due, default=None)

    def _judge(self, wanted: _Wanted, answer: Absence | LookupFailure, now_us: int) -> RejectReason | None:
        """The reason to refuse a DID's events now; None to try again."""
        if answer is Absence.TOMBSTONED:
            return RejectReason.TOMBSTONED
        is_directory = False
        if isinstance(answer, LookupFailure):
            is_directory = answer.is_directory
            if answer.is_final:
                return RejectReason.UNUSABLE_IDENTITY
        wanted.failed_us = wanted.failed_us or now_us
        if self.is_down or (is_directory and self._answered_us <= wanted.failed_us):
            return None
        expired = now_us - wanted.failed_us >= self._policy.deadline_s * _US
        return RejectReason.NO_IDENTITY if expired else None

    def _directory_answers(self, did: str, now_us: int) -> None:
        self._control = did
        self._answered_us = now_us
        self._latest.append("")
        if self.is_down:
            self.is_down = False
            self._latest.clear()
            self._probe_pause_us = PROBE_US
            for other, wanted in self._wanted.items():
                wanted.failed_us = wanted.due_us = 0
                heappush(self._due, (0, other))

    def _suspect(self, did: str, now_us: int) -> None:
        """The directory failed: find out whether it fails for all."""
        self._latest.append(did)
        failing = [each for each in self._latest if each]
        alone = len(set(failing)) == 1
        if alone and self._control not in ("", did):
            self.want(self._control, now_us)
        if len(failing) >= DOWN_AT and not alone and not self.is_down:
            self.is_down = True
            self._probe_us = now_us + self._probe_pause_us

    def _put_off(self, did: str, wanted: _Wanted, retry_after_us: int, now_us: int) -> None:
        pause_us = min(RETRY_CAP_US, RETRY_US << min(wanted.tries, RETRY_CAP_US.bit_length()))
        wanted.tries += 1
        wanted.asked_us = 0
        wanted.due_us = now_us + max(pause_us, retry_after_us)
        heappush(self._due, (wanted.due_us, did))
        if self.is_down:
            self._probe_us = now_us + max(self._probe_pause_us, retry_after_us)
            self._probe_pause_us = min(PROBE_CAP_US, self._probe_pause_us * 2)

    def _probe(self, now_us: int) -> list[Inquiry]:
        """Ask a directory that is down for one DID, each time for another one."""
        if self._calls or now_us < self._probe_us:
            return []
        did = next(iter(self._wanted))
        self._wanted[did] = self._wanted.pop(did)
        self._ask([did], now_us)
        return [Inquiry([did], patient=True)]

    def _ask(self, dids: list[str], now_us: int) -> None:
        for did in dids:
            self._wanted[did].asked_us = now_us
        self._calls.append((now_us, frozenset(dids)))
        self.asked += len(dids)

    def asked_us(self, did: str) -> int:
        """When the question about a DID that is under way was asked."""
        wanted = self._wanted.get(did)
        return wanted.asked_us if wanted is not None else 0

    def _close_call(self, did: str) -> None:
        """The answers of one call come together: the first of them closes it."""
        for index, (_, dids) in enumerate(self._calls):
            if did in dids:
                del self._calls[index]
                return

    def _give_up_lost(self, now_us: int) -> None:
        while self._calls and now_us - self._calls[0][0] >= LOST_US:
            _, dids = self._calls.popleft()
            for did in dids:
                self.answered(did, _LOST, now_us)

    def _remember(self, did: str, reason: RejectReason, now_us: int) -> None:
        self._refused[did] = (now_us + REFUSED_US, reason)
        self._refused.move_to_end(did)
        if len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)

    def _refill(self, now_us: int) -> None:
        rate = self._policy.per_second
        self._budget = min(float(rate), self._budget + max(0, now_us - self._budget_us) * rate / _US)
        self._budget_us = now_us
