"""Carries out orders of the operator. What is decided is in the audit, and durable, before it is answered."""

from __future__ import annotations

from edgerelay.api.order import Action, Order
from edgerelay.api.query import Subject
from edgerelay.errors import InvariantError
from edgerelay.relay.accounts import AccountStatus, hash_did
from edgerelay.relay.events import StatusDecided
from edgerelay.runtime.node import Node
from edgerelay.runtime.objects import ObjectStoreError
from edgerelay.runtime.reports import report

__all__ = ["carry_out"]


def carry_out(node: Node, order: Order, now_us: int) -> dict[str, object]:
    """Do what an order says, and return what the account is now.

    Raises:
        ObjectStoreError: what is stored may be an old copy, in which nothing must be decided; give the order again.
        SqlError: the storage refuses writes.
        InvariantError: the same, and the relay has begun anew from what is stored.
    """
    if node.is_doubtful:
        raise ObjectStoreError("the archive was not looked into yet; nothing was decided")
    node.audit.add(now_us, order.action, order.did, order.reason)
    status = AccountStatus.ACTIVE if order.action is Action.RESTORE else AccountStatus.TAKENDOWN
    node.turn(StatusDecided(order.did, status))
    account = node.accounts.get(hash_did(order.did))
    if account is None or account.local_status is not status:
        raise InvariantError("the storage refuses writes; nothing was decided")
    node.hidden_export.hurry()
    if order.action is Action.PURGE:
        node.purger.order(order.did)
    elif order.action is Action.RESTORE:
        node.purger.cancel(order.did)
    return {"action": order.action, **report(node, Subject.ACCOUNT, order.did)}
