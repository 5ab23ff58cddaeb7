"""Which identities to ask for, when, and what to make of it if no answer comes.

    wanted ── due, in the budget ──▶ asked ── answer ──▶ an identity
      ▲                                │
      └────── a pause that grows ──────┴── failure ──▶ refused after IDENTITY_DEADLINE_S, and not asked for a while

A DID is asked for once at a time, at most PLC_RPS a second over all of them. What failed before is asked in batches of
its own with more patience, and never takes all calls, so that a slow answer delays nobody else.

A failure of one DID (it is unknown, its host does not answer) is that account's. A failure of the directory is nobody's
unless the directory answers for somebody else. While it counts as down (`directory`) nothing is refused, the relay
pauses its upstream, and one DID at a time is asked until there is an answer; then everything is asked anew.

It neither asks nor keeps identities.

Spec: atproto DID ("Resolution"); rate limits and caching as the Bluesky documentation advises.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple, TypeAlias

from edgerelay.atproto.identity import Absence, Identity
from edgerelay.atproto.lookup import LookupFailure
from edgerelay.relay.directory import Directory, is_listed
from edgerelay.relay.identities import KnownIdentity
from edgerelay.relay.reject import RejectReason

__all__ = ["Inquiry", "LookupAnswer", "LookupPolicy", "Lookups", "Outcome"]

_US: Final = 1_000_000

BATCH: Final = 6
"""DIDs asked for in one call: as many requests as one invocation may have open, so that none waits for another."""

MAX_CALLS: Final = 16
"""Calls at once: at 80 ms a look-up they carry a thousand a second."""

MAX_PATIENT_CALLS: Final = 12
"""Calls among these for what failed before: they may take long."""

RETRY_US: Final = 1 * _US
"""The first pause after a failure; each further one is twice as long."""

RETRY_CAP_US: Final = 16 * _US
"""The longest pause of one DID, so that a deadline of a minute sees several attempts."""

RETRY_AFTER_CAP_US: Final = 600 * _US
"""The longest pause that a stranger can ask for."""

REFUSED_US: Final = 300 * _US
"""How long a failure is remembered: the five minutes that the Bluesky documentation advises."""

MAX_REFUSED: Final = 10_000
"""Failures remembered: 2 MB. Beyond it the oldest is forgotten and asked for again."""

LOST_US: Final = 90 * _US
"""Time after which a call without an answer counts as failed: far beyond the sum of its own time limits."""

_LOST: Final = LookupFailure("no answer", is_directory=True, is_final=False, retry_after_s=0)
"""Whoever was to ask has not come back, which says nothing about a DID."""

_ASKED: Final = -1


class LookupPolicy(NamedTuple):
    """What an operator chooses."""

    per_second: int
    deadline_s: int


LookupAnswer: TypeAlias = "Identity | Absence | LookupFailure"

Outcome: TypeAlias = "tuple[str, KnownIdentity | RejectReason]"
"""What became of a DID: its identity, or why its events are refused."""


class Inquiry(NamedTuple):
    """DIDs to ask for with one call."""

    dids: list[str]
    patient: bool
    """They have failed before: wait longer for each."""

    asked_us: int
    """Our clock when the call was made: what changed since may not be in the answers."""


class _Wanted:
    """One DID without an answer."""

    __slots__ = ("asked_us", "due_us", "failed_us", "is_outdated", "seen", "tries")

    def __init__(self) -> None:
        self.due_us = 0
        """When to ask; `_ASKED` while a question is under way."""

        self.asked_us = 0
        """When that was asked."""

        self.is_outdated = False
        """Something changed since the question that is under way was asked."""

        self.begin()

    def begin(self) -> None:
        """Nothing was tried yet, or nothing that counts."""
        self.tries = 0
        self.failed_us = 0
        """When the deadline began to run; 0 if it does not."""

        self.seen = 0
        """How many answers the directory had given when it failed last."""


class Lookups:
    """The look-ups of one relay."""

    def __init__(self, policy: LookupPolicy, now_us: int) -> None:
        self.directory = Directory()
        self._policy = policy
        self._wanted: dict[str, _Wanted] = {}
        self._due: dict[bool, list[tuple[int, str]]] = {False: [], True: []}
        """Two heaps, the latter of what has failed before. An entry means nothing if its DID is due at another time."""

        self._calls: deque[tuple[int, Inquiry]] = deque()
        """Calls without an answer, the oldest first, with their times."""

        self._refused: OrderedDict[str, tuple[int, RejectReason]] = OrderedDict()
        self._asked_us: deque[int] = deque(maxlen=policy.per_second)
        """When the latest DIDs were asked for, as many as may be in a second."""

        self._clock_us = now_us
        self._set_back_us = 0
        """By how much the clock was set back. All times in here go on as if it had not been."""

        self.asked = 0
        self.failed = 0

    @property
    def is_down(self) -> bool:
        """The directory does not answer."""
        return self.directory.is_down

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
        self._want(did, self._steady(now_us))

    def refusal(self, did: str, now_us: int) -> RejectReason | None:
        """Why there is no identity, if that was found out a short while ago."""
        until_us, reason = self._refused.get(did, (0, None))
        if until_us <= self._steady(now_us):
            self._refused.pop(did, None)
            return None
        return reason

    def forget(self, did: str) -> None:
        """Something about the DID has changed: what failed may succeed now, and what is being told may be old."""
        self._refused.pop(did, None)
        wanted = self._wanted.get(did)
        if wanted is not None and wanted.due_us == _ASKED:
            wanted.is_outdated = True

    def take_due(self, now_us: int) -> list[Inquiry]:
        """What to ask for now."""
        time_us = self._steady(now_us)
        return list(self._probe(time_us) if self.is_down else self._ask_due(time_us))

    def answered(self, inquiry: Inquiry, answers: Sequence[LookupAnswer], now_us: int) -> list[Outcome]:
        """What the answers to an inquiry settle. Those to one that was given up mean nothing."""
        if not any(each is inquiry for _, each in self._calls):
            return []
        return self._settle(inquiry, answers, self._steady(now_us))

    def take_lost(self, now_us: int) -> list[Outcome]:
        """What it settles that there is no answer to the inquiries of long ago."""
        time_us, outcomes = self._steady(now_us), list[Outcome]()
        while self._calls and time_us - self._calls[0][0] >= LOST_US:
            inquiry = self._calls[0][1]
            outcomes += self._settle(inquiry, [_LOST] * len(inquiry.dids), time_us)
        return outcomes

    def wake_us(self) -> int | None:
        """When the passing of time alone will matter; None if never."""
        due = [self._calls[0][0] + LOST_US] if self._calls else []
        if not self.is_down:
            lanes = [lane for patient, lane in self._due.items() if lane and self._has_room(patient=patient)]
            due += [max(lane[0][0], self._budget_us()) for lane in lanes]
        elif not self._calls:
            due.append(self.directory.probe_us)
        return min(due) - self._set_back_us if due else None

    # --- asking ---------------------------------------------------------------------------------------------------

    def _want(self, did: str, time_us: int) -> None:
        if did not in self._wanted:
            self._wanted[did] = _Wanted()
            self._queue(did, time_us)

    def _queue(self, did: str, due_us: int) -> None:
        wanted = self._wanted[did]
        wanted.due_us = due_us
        heappush(self._due[wanted.tries > 0], (due_us, did))

    def _ask_due(self, time_us: int) -> Iterator[Inquiry]:
        for patient, lane in self._due.items():
            while self._has_room(patient=patient) and (dids := self._pop_due(lane, time_us)):
                yield self._ask(dids, time_us, patient=patient)

    def _pop_due(self, lane: list[tuple[int, str]], time_us: int) -> list[str]:
        dids = list[str]()
        while len(dids) < BATCH and lane and max(lane[0][0], self._budget_us()) <= time_us:
            due_us, did = heappop(lane)
            wanted = self._wanted.get(did)
            if wanted is not None and wanted.due_us == due_us:
                self._begin_to_ask(wanted, time_us)
                dids.append(did)
        return dids

    def _probe(self, time_us: int) -> Iterator[Inquiry]:
        """Ask a directory that is down for one DID, each time for another one."""
        if not self._calls and time_us >= self.directory.probe_us:
            did = next(filter(is_listed, self._wanted), None) or next(iter(self._wanted))
            wanted = self._wanted[did] = self._wanted.pop(did)
            self._begin_to_ask(wanted, time_us)
            self.directory.probed()
            yield self._ask([did], time_us, patient=True)

    def _begin_to_ask(self, wanted: _Wanted, time_us: int) -> None:
        wanted.due_us, wanted.asked_us = _ASKED, time_us
        wanted.is_outdated = False
        self._asked_us.append(time_us)
        self.asked += 1

    def _ask(self, dids: list[str], time_us: int, *, patient: bool) -> Inquiry:
        inquiry = Inquiry(dids, patient, time_us - self._set_back_us)
        self._calls.append((time_us, inquiry))
        return inquiry

    def _has_room(self, *, patient: bool) -> bool:
        """Whether there may be one more call."""
        patient_calls = sum(inquiry.patient for _, inquiry in self._calls)
        return len(self._calls) < MAX_CALLS and not (patient and patient_calls >= MAX_PATIENT_CALLS)

    def _budget_us(self) -> int:
        """From when on one more DID may be asked for."""
        return self._asked_us[0] + _US if len(self._asked_us) == self._policy.per_second else 0

    # --- answers --------------------------------------------------------------------------------------------------

    def _settle(self, inquiry: Inquiry, answers: Sequence[LookupAnswer], time_us: int) -> list[Outcome]:
        self._calls = deque([call for call in self._calls if call[1] is not inquiry])
        outcomes = list[Outcome]()
        for did, answer in zip(inquiry.dids, answers, strict=True):
            outcome = self._take(did, answer, time_us)
            if isinstance(outcome, Identity):
                # As of the question: what changed while it was under way may not be in the answer.
                outcomes.append((did, KnownIdentity(outcome.signing_key, outcome.pds, inquiry.asked_us)))
            elif outcome is not None:
                outcomes.append((did, outcome))
        return outcomes

    def _take(self, did: str, answer: LookupAnswer, time_us: int) -> Identity | RejectReason | None:
        wanted = self._wanted[did]
        if isinstance(answer, LookupFailure):
            self.failed += 1
        if isinstance(answer, LookupFailure) and answer.is_directory:
            self._directory_fails(did, time_us)
        elif is_listed(did) or (self.is_down and not any(map(is_listed, self._wanted))):
            self._directory_succeeds(time_us)
        if wanted.is_outdated and not isinstance(answer, LookupFailure):
            self._queue(did, time_us)
            return None
        if isinstance(answer, Identity):
            del self._wanted[did]
            self._refused.pop(did, None)
            self.directory.knows(did)
            return answer
        reason = self._judge(wanted, answer, time_us)
        if reason is None:
            self._put_off(did, wanted, _retry_after_us(answer), time_us)
        else:
            del self._wanted[did]
            self._remember(did, reason, time_us)
        return reason

    def _judge(self, wanted: _Wanted, answer: Absence | LookupFailure, time_us: int) -> RejectReason | None:
        """The reason to refuse a DID's events now; None to try again."""
        if answer is Absence.TOMBSTONED:
            return RejectReason.TOMBSTONED
        is_directory = isinstance(answer, LookupFailure) and answer.is_directory
        if isinstance(answer, LookupFailure) and answer.is_final and not is_directory:
            return RejectReason.UNUSABLE_IDENTITY
        seen, wanted.seen = wanted.seen, self.directory.answers
        if not wanted.failed_us or (is_directory and wanted.seen == seen):
            wanted.failed_us = time_us  # nobody had an answer since: nothing is known about this DID
        if self.is_down:
            return None
        # What counts is when it was asked: it may take long until a call is given up.
        left_us = wanted.failed_us + self._policy.deadline_s * _US - wanted.asked_us
        # Whoever wants to be left alone for longer than that will not be asked in time.
        is_over = left_us <= 0 or (not is_directory and _retry_after_us(answer) > left_us + RETRY_CAP_US)
        return RejectReason.NO_IDENTITY if is_over else None

    def _directory_fails(self, did: str, time_us: int) -> None:
        """Find out whether it fails for all."""
        if self.directory.control not in self._wanted:
            control = self.directory.choose_control(did)
            if control:
                self._want(control, time_us)
        self.directory.fails(did, time_us)

    def _directory_succeeds(self, time_us: int) -> None:
        if self.directory.succeeds():
            for did, wanted in self._wanted.items():
                wanted.begin()
                if wanted.due_us != _ASKED:
                    self._queue(did, time_us)

    def _put_off(self, did: str, wanted: _Wanted, retry_after_us: int, time_us: int) -> None:
        pause_us = min(RETRY_CAP_US, RETRY_US << min(wanted.tries, RETRY_CAP_US.bit_length()))
        wanted.tries += 1
        self._queue(did, time_us + max(pause_us, retry_after_us))
        if self.is_down:
            self.directory.leave_alone(retry_after_us, time_us)

    def _remember(self, did: str, reason: RejectReason, time_us: int) -> None:
        self._refused[did] = (time_us + REFUSED_US, reason)
        self._refused.move_to_end(did)
        if len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)

    def _steady(self, now_us: int) -> int:
        """The time in here, which never goes back: nothing must wait until a clock that was set has caught up."""
        self._set_back_us += max(0, self._clock_us - now_us)
        self._clock_us = now_us
        return now_us + self._set_back_us


def _retry_after_us(answer: Absence | LookupFailure) -> int:
    return min(RETRY_AFTER_CAP_US, answer.retry_after_s * _US) if isinstance(answer, LookupFailure) else 0
