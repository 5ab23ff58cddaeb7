"""What RelayState says when it is asked about one host or one account.

Spec: the lexicon `com.atproto.sync.getRepoStatus`.
"""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import urlsplit

from edgerelay.api.query import Subject
from edgerelay.atproto.tid import int_to_tid
from edgerelay.atproto.timestamp import datetime_text
from edgerelay.relay.reject import RejectReason
from edgerelay.relay.rejections import Rejections
from edgerelay.runtime.node import Node

__all__ = ["report"]


def report(node: Node, subject: Subject, name: str) -> dict[str, object]:
    """The answer to a question; empty if there is no such host or account."""
    match subject:
        case Subject.REJECTS:
            return _rejects(node, name, with_frames=False)
        case Subject.REJECTED_FRAMES:
            return _rejects(node, name, with_frames=True)
        case Subject.ACCOUNT:
            return _account(node, name)


def _rejects(node: Node, name: str, *, with_frames: bool) -> dict[str, object]:
    host = node.relay.host
    if not host.url or urlsplit(host.url).netloc != name:
        return {}
    reasons = {
        str(reason): _reason(host.rejects, reason, count, with_frames=with_frames)
        for reason, count in host.rejects
        if count
    }
    return {"host": name, "kind": host.kind, "total": host.rejects.total, "reasons": reasons}


def _reason(rejects: Rejections, reason: RejectReason, count: int, *, with_frames: bool) -> dict[str, object]:
    latest = [{**each._asdict(), "time": datetime_text(each.time_us)} for each in reversed(rejects.latest(reason))]
    for each in latest:
        del each["time_us"]
    frame = {"frame": b64encode(rejects.frame(reason)).decode()} if with_frames else {}
    return {"count": count, "latest": latest, **frame}


def _account(node: Node, did: str) -> dict[str, object]:
    account = node.relay.ledger.book.find(did)
    if account is None:
        return {}
    found: dict[str, object] = {"did": did, "active": account.active}
    if account.status.word is not None:
        found["status"] = account.status.word
    if account.active and account.has_commit:
        found["rev"] = int_to_tid(account.rev)
    return found
