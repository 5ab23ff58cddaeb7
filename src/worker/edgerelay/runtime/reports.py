"""What RelayState says when it is asked about one host or one account, or about the operator's decisions.

Spec: the lexicon `com.atproto.sync.getRepoStatus`.
"""

from __future__ import annotations

from base64 import b64encode

from edgerelay.api.query import Subject
from edgerelay.atproto.origin import same_origin
from edgerelay.atproto.tid import int_to_tid
from edgerelay.atproto.timestamp import datetime_text
from edgerelay.relay.reject import RejectReason
from edgerelay.relay.rejections import Example
from edgerelay.runtime.audit import AuditEntry
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
        case Subject.AUDIT:
            return {"entries": [_entry(each) for each in node.audit.page(int(name))]}
        case Subject.HOSTING:
            return _hosting(node, name)


def _rejects(node: Node, name: str, *, with_frames: bool) -> dict[str, object]:
    """Reasons that occurred stand first; all are there, so that a count can be watched from zero on."""
    host = node.relay.host
    scheme, _, authority = host.url.partition("://")
    if not host.url or not (name == authority or same_origin(f"{scheme}://{name}", host.url)):
        return {}
    by_count = sorted(host.rejects, key=lambda each: each[1], reverse=True)
    return {
        "host": authority,
        "kind": host.kind,
        "since": datetime_text(node.since_us),
        "total": host.rejects.total,
        "reasons": {str(reason): _reason(node, reason, count, with_frames=with_frames) for reason, count in by_count},
    }


def _reason(node: Node, reason: RejectReason, count: int, *, with_frames: bool) -> dict[str, object]:
    rejects = node.relay.host.rejects
    found: dict[str, object] = {
        "meaning": reason.meaning,
        "count": count,
        "tolerated": node.vetting.tolerated.get(reason, 0),
        "latest": [_example(each) for each in reversed(rejects.latest(reason))],
    }
    if with_frames:
        found["frame"] = b64encode(rejects.frame(reason)).decode()
    return found


def _example(example: Example) -> dict[str, object]:
    _, detail, kind, seq, did, rev = example.refused
    time = datetime_text(example.time_us)
    return {"time": time, "detail": detail, "kind": kind, "seq": seq, "did": did, "rev": rev}


def _entry(entry: AuditEntry) -> dict[str, object]:
    return {**entry._asdict(), "time": datetime_text(entry.time_us)}


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


def _hosting(node: Node, did: str) -> dict[str, object]:
    found = _account(node, did)
    host = node.known_host(did) if found else None
    return found if host is None else {**found, "host": host}
