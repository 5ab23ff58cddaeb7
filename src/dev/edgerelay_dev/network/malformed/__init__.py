"""Malformed frames: one of every kind that a relay has been or might be sent.

`MALFORMED` enumerates them by name; `inject` lets a host emit one. Every kind says what is wrong with it and what a
careful relay does with it, so that a test can go through them all.
"""

from __future__ import annotations

from typing import Final

from edgerelay_dev.network.account import Account
from edgerelay_dev.network.host import Host
from edgerelay_dev.network.log import Emitted
from edgerelay_dev.network.malformed import accounts, commits, containers, encoding, fields, framing, operations, trees
from edgerelay_dev.network.malformed.kind import Fate, Malformed
from edgerelay_dev.network.malformed.material import Material

__all__ = ["MALFORMED", "Fate", "Malformed", "inject"]

MALFORMED: Final[dict[str, Malformed]] = {
    kind.name: kind
    for module in (framing, encoding, fields, accounts, commits, containers, operations, trees)
    for kind in (*vars(module).values(), *vars(module).get("GENERATED", ()))
    if isinstance(kind, Malformed)
}
"""All kinds by name."""


def inject(host: Host, name: str, account: Account | None = None) -> Emitted:
    """Let a host emit one malformed frame, about one of its active accounts.

    The frame takes a number of the host's sequence, whatever it says itself, and is replayed like any other. Some
    kinds emit right events first (`inactive_account`, for one).
    """
    kind = MALFORMED[name]
    account = account or next(account for account in host.accounts.values() if account.active)
    material = Material(host, account, lasting=kind.fate in (Fate.KEEP, Fate.BREAK))
    frame = kind(material)
    return host.emit_frame(lambda _: frame, kind.opcode)
