"""Reasons: a closed list, counted from zero. What provokes each is in a table of the file that tests who refuses it."""

from __future__ import annotations

import ast
import inspect
from types import ModuleType

from edgerelay.atproto import frames, messages
from edgerelay.atproto.commit import CommitFault
from edgerelay.atproto.mst import TreeFault
from edgerelay.relay.reject import COMMIT_REASONS, FRAME_REASONS, MESSAGE_REASONS, TREE_REASONS, RejectReason
from tests.unit.relay import test_ledger, test_relay, test_verify, test_vetting


def test_every_code_of_an_error_has_its_reason() -> None:
    """Codes are written where they are raised; each must be known here, and nothing else."""
    assert set(FRAME_REASONS) == _codes(frames, "FrameError")
    assert set(MESSAGE_REASONS) == _codes(messages, "MessageError")


def test_every_fault_has_its_reason() -> None:
    assert set(COMMIT_REASONS) == set(CommitFault)
    assert set(TREE_REASONS) == set(TreeFault)


def test_every_reason_is_provoked() -> None:
    tables = [each.PROVOKED for each in (test_relay, test_verify, test_vetting, test_ledger)]
    assert {reason for table in tables for reason in table} | {RejectReason.TEXT_FRAME} == set(RejectReason)


def _codes(module: ModuleType, error: str) -> set[str]:
    """The first arguments with which a module makes an error, where they are written out."""
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Call)]
    firsts = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == error]
    written = [[each.body, each.orelse] if isinstance(each, ast.IfExp) else [each] for each in firsts]
    return {
        each.value for some in written for each in some if isinstance(each, ast.Constant) and type(each.value) is str
    }
