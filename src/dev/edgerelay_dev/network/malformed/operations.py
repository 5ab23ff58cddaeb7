"""Commits whose operations do not match their trees, or that do not follow the commit before.

Spec: atproto sync ("Commit Operation Inversion"), "Commit Validation".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from edgerelay.atproto.cid import cid_for_cbor, cid_to_link
from edgerelay_dev.network.malformed.commits import commit_frame
from edgerelay_dev.network.malformed.kind import Fate, malformed
from edgerelay_dev.network.malformed.material import Material
from edgerelay_dev.network.repository import Change, Op
from edgerelay_dev.network.tid import tid_text

_OTHER: Final = cid_for_cbor(b"something else")
_YEAR_US: Final = 365 * 24 * 3_600_000_000


def _with_ops(
    material: Material, edit: Callable[[tuple[Op, ...]], Iterable[Op]], change: Change | None = None
) -> bytes:
    change = change or material.change()
    return commit_frame(material, change._replace(ops=tuple(edit(change.ops))))


@malformed(Fate.REJECT)
def op_left_out(material: Material) -> bytes:
    """A commit of two records that tells of one."""
    return _with_ops(material, lambda ops: ops[:1], material.change(material.create(), material.create()))


@malformed(Fate.REJECT)
def op_invented(material: Material) -> bytes:
    """A commit that tells of a deletion that it does not contain."""
    gone = Op("delete", material.create().path, None, _OTHER)
    return _with_ops(material, lambda ops: (*ops, gone))


@malformed(Fate.REJECT)
def op_wrong_path(material: Material) -> bytes:
    """A creation told under a path that the tree does not have."""
    path = material.create().path
    return _with_ops(material, lambda ops: [ops[0]._replace(path=path)])


@malformed(Fate.REJECT)
def op_wrong_cid(material: Material) -> bytes:
    """Two creations told with each other's CID."""
    change = material.change(material.create("one"), material.create("two"))
    first, second = change.ops
    swapped = (first._replace(cid=second.cid), second._replace(cid=first.cid))
    return _with_ops(material, lambda ops: swapped, change)


@malformed(Fate.REJECT)
def op_wrong_prev(material: Material) -> bytes:
    """An update that names a wrong CID as the one before."""
    return _with_ops(material, lambda ops: [ops[0]._replace(prev=_OTHER)], material.change(material.update()))


@malformed(Fate.REJECT)
def op_create_for_update(material: Material) -> bytes:
    """An update told as a creation."""
    change = material.change(material.update())
    return _with_ops(material, lambda ops: [ops[0]._replace(action="create", prev=None)], change)


@malformed(Fate.REJECT)
def op_delete_of_present(material: Material) -> bytes:
    """A creation told as a deletion."""
    return _with_ops(material, lambda ops: [Op("delete", ops[0].path, None, ops[0].cid)])


@malformed(Fate.REJECT)
def wrong_prev_data(material: Material) -> bytes:
    """A `prevData` that undoing the operations does not give."""
    return commit_frame(material, material.change(), prevData=cid_to_link(_OTHER))


@malformed(Fate.REJECT)
def missing_prev_data(material: Material) -> bytes:
    """A later commit without `prevData`, as before sync 1.1."""
    return commit_frame(material, material.change()._replace(prev_data=None))


@malformed(Fate.BREAK)
def wrong_since(material: Material) -> bytes:
    """A commit whose `since` is no rev that the account ever had."""
    return commit_frame(material, material.change()._replace(since=tid_text(material.host.now_us() - _YEAR_US, 1)))


@malformed(Fate.BREAK)
def gap_before_commit(material: Material) -> bytes:
    """A right commit after one that was never told."""
    material.change()
    return commit_frame(material, material.change())
