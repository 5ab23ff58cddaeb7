"""The way in: a frame becomes a candidate for verification, or something else that has a name.

Owns the checks that need nothing but the frame and the host's position: framing, header, fields, sequence order, and
the question whether a frame was seen before. It neither sequences nor looks into repositories.

A frame at or below the position right after a connect is not dropped blind. Hosts differ by one in what a cursor
includes, so it may be a plain repeat; or the host lost its numbers and counts anew, so that it is news. A `rev` that is
newer than the account's last one proves the latter. At the position itself that is not enough: what is repeated there
may have been refused, or lie before the first event that was wanted, and its `time` must be newer too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from edgerelay.atproto.fast_commit import read_common_commit
from edgerelay.atproto.frames import MAX_FRAME_BYTES, MAX_GROWTH_BYTES, ErrorFrame, Frame, FrameError, decode_frame
from edgerelay.atproto.messages import (
    KINDS,
    LEGACY_KINDS,
    Commit,
    Info,
    Message,
    MessageError,
    Sync,
    parse_info,
    parse_message,
    read_seq,
)
from edgerelay.atproto.syntax import is_did, is_tid
from edgerelay.atproto.timestamp import time_us
from edgerelay.relay.identities import KnownIdentity
from edgerelay.relay.position import Position, Seen
from edgerelay.relay.reject import FRAME_REASONS, MESSAGE_REASONS, RejectReason
from edgerelay.relay.rejections import Refused
from edgerelay.relay.verify import Claim

__all__ = ["MAX_RELAYED_BYTES", "Arrival", "Candidate", "Intake", "Repeat", "ResetProven"]


MAX_RELAYED_BYTES: Final = MAX_FRAME_BYTES - MAX_GROWTH_BYTES
"""The largest frame that can be passed on: it takes our number, and a frame beyond the limit would cut off every
subscriber."""

_KIND: Final = re.compile(r"#[a-zA-Z]{1,32}")
"""What may be shown of a kind that is unknown: nothing but a plain name."""


class Candidate:
    """An event that awaits its verdict."""

    __slots__ = (
        "asked_for",
        "awaited_by",
        "claim",
        "complete",
        "detail",
        "epoch",
        "frame",
        "host_id",
        "hosted",
        "is_asking",
        "known",
        "may_repeat",
        "message",
        "tolerated",
        "verdict",
    )

    def __init__(self, position: Position, frame: Frame, message: Message) -> None:
        self.host_id = position.host_id
        self.epoch = position.epoch
        self.may_repeat = position.replay_until_us > 0
        """Read after a reset: that its `rev` is not newer is no fault."""

        self.frame = frame
        self.message = message
        self.verdict: RejectReason | bool | None = None
        """None until verified; then True, or the reason for which the event is refused."""

        self.detail = ""
        """What exactly is wrong, if it is refused."""

        self.tolerated: tuple[RejectReason, ...] = ()
        """What is wrong and overlooked."""

        self.asked_for = False
        """The identity of its account was asked for after it had arrived."""

        self.claim: Claim | None = None
        """What its blocks hold, as far as they were looked into."""

        self.known: KnownIdentity | None = None
        """The identity that it was compared with last."""

        self.hosted: bool | None = None
        """What a host says when it is asked whether the account is active; None until it is asked."""

        self.is_asking = False
        """The question is under way: it must not leave before the answer."""

        self.awaited_by: object = None
        """The flight that it is part of."""

        self.complete = False
        """The verdict has been taken note of, in the order in which verdicts were delivered."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the frame; in memory an event that waits takes more than twice as many."""
        return len(self.frame.raw)


class Repeat(NamedTuple):
    """A frame whose event was finished before, or is being verified; nothing is wrong."""

    seq: int


class ResetProven(NamedTuple):
    """The host started its numbers anew: read it again from its beginning, in a new epoch."""

    seq: int


Arrival: TypeAlias = "Candidate | Refused | Repeat | ResetProven | ErrorFrame | Info"


class Intake:
    """Takes the frames of one host; lives as long as its position."""

    def __init__(
        self, position: Position, is_news: Callable[[str, str], bool], *, strict: bool, from_live: bool
    ) -> None:
        """Take a host's frames.

        Args:
            position: the host's; moved by every frame that has a number.
            is_news: tells whether a `rev` is newer than the last one of the account with this DID.
            strict: demand deterministic encoding.
            from_live: the first event ever is where the host's stream begins for us.
        """
        self._position = position
        self._is_news = is_news
        self._strict = strict
        self._from_live = from_live
        self._last_seq = 0

    def connected(self) -> None:
        """A new socket is open: its numbers may begin anywhere."""
        self._last_seq = 0

    def take(self, raw: bytes) -> Arrival:
        """Judge one binary message. Whatever a peer sends, this raises nothing."""
        common = read_common_commit(raw)
        if common is not None:
            common_frame, commit = common
            return self._out_of_order(common_frame, commit.seq) or self._compare(common_frame, commit)
        try:
            frame = decode_frame(raw, strict=self._strict)
        except FrameError as error:
            return Refused(FRAME_REASONS[error.code], str(error))
        if isinstance(frame, ErrorFrame):
            return frame
        if frame.kind == "#info":
            return parse_info(frame.body)
        seq = read_seq(frame.body)
        return (seq is not None and self._out_of_order(frame, seq)) or self._judge(frame, seq)

    def _out_of_order(self, frame: Frame, seq: int) -> Refused | None:
        """Note the number of a frame, or refuse it because it does not increase."""
        if seq <= self._last_seq:
            return _refused(RejectReason.SEQ_ORDER, f"{seq} after {self._last_seq}", frame, seq)
        self._last_seq = seq
        if self._from_live:
            self._from_live = False
            self._position.start_before(seq)
        return None

    def _judge(self, frame: Frame, seq: int | None) -> Arrival:
        if len(frame.raw) > MAX_RELAYED_BYTES:
            return self._refuse(frame, seq, RejectReason.OVERSIZE_FRAME, f"{len(frame.raw)} bytes and a longer number")
        if frame.kind not in KINDS:
            reason = RejectReason.LEGACY_KIND if frame.kind in LEGACY_KINDS else RejectReason.UNKNOWN_KIND
            return self._refuse(frame, seq, reason, _shown(frame.kind, _is_kind) or "no name")
        try:
            message = parse_message(frame.kind, frame.body)
        except MessageError as error:
            return self._refuse(frame, seq, MESSAGE_REASONS[error.code], str(error))
        return self._compare(frame, message)

    def _refuse(self, frame: Frame, seq: int | None, reason: RejectReason, detail: str) -> Refused | Repeat:
        if seq is not None:
            if self._position.seen(seq) is not Seen.NEW:
                return Repeat(seq)
            self._position.pass_over(seq)
        return _refused(reason, detail, frame, seq)

    def _compare(self, frame: Frame, message: Message) -> Candidate | Repeat | ResetProven:
        position, seq = self._position, message.seq
        match position.seen(seq):
            case Seen.NEW:
                if self._is_replayed(message):
                    position.pass_over(seq)
                    return Repeat(seq)
                position.receive(seq)
                return Candidate(position, frame, message)
            case Seen.BELOW if self._proves_reset(message):
                return ResetProven(seq)
            case Seen.DONE:
                position.pass_over(seq)
        return Repeat(seq)

    def _proves_reset(self, message: Message) -> bool:
        if not isinstance(message, Commit | Sync) or not self._is_news(message.did, message.rev):
            return False
        return message.seq < self._position.low or time_us(message.time) > self._position.newest_time_us

    def _is_replayed(self, message: Message) -> bool:
        """Read again after a reset, events that no `rev` tells from news are told by their time alone."""
        replay_until_us = self._position.replay_until_us
        if not replay_until_us or isinstance(message, Commit):
            return False
        if isinstance(message, Sync) and self._is_news(message.did, message.rev):
            return False
        return time_us(message.time) <= replay_until_us


def _refused(reason: RejectReason, detail: str, frame: Frame, seq: int | None) -> Refused:
    """Examples are published, so only what has the form of a name is taken out of a frame that may hold anything."""
    did, rev = frame.body.get("repo", frame.body.get("did")), frame.body.get("rev")
    kind = _shown(frame.kind, _is_kind)
    return Refused(reason, detail, kind, seq or 0, _shown(did, is_did), _shown(rev, is_tid))


def _shown(value: object, is_name: Callable[[str], bool]) -> str:
    return value if isinstance(value, str) and is_name(value) else ""


def _is_kind(text: str) -> bool:
    return _KIND.fullmatch(text) is not None
