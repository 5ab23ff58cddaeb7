"""Every kind of malformed frame is what it says: the oracle gives it the fate that the registry names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgerelay_dev.network.clock import system_clock
from edgerelay_dev.network.host import Host
from edgerelay_dev.network.log import EventLog
from edgerelay_dev.network.malformed import MALFORMED, Fate, inject
from edgerelay_dev.network.plc import Directory
from edgerelay_dev.network.repository import Create
from edgerelay_dev.network.subscription import StreamRules
from edgerelay_dev.network.websocket import Opcode
from tests.unit.dev.network.stream_oracle import StreamOracle

REASONS = {
    "sync_forged": "signature",
    "sync_future_rev": "future rev",
    "sync_without_commit": "commit block missing",
    "forged_signature": "signature",
    "high_s": "signature",
    "wrong_curve": "signature",
    "future_rev": "future rev",
    "rev_disagrees": "commit disagrees",
    "commit_disagrees": "commit link disagrees",
    "car_truncated": "container ends within a block",
    "missing_commit_block": "commit block missing",
    "missing_record_block": "record missing",
    "wrong_hash": "block hash",
    "op_left_out": "prevData",
    "op_wrong_cid": "op does not match the tree",
    "op_wrong_prev": "prevData",
    "missing_prev_data": "prevData missing",
    "tree_keys_unordered": "key order",
    "tree_duplicate_key": "key order",
    "tree_wrong_height": "key height",
    "tree_prefix_not_shared": "prefix",
    "tree_keyless_root": "keyless root",
    "tree_empty_child": "empty node",
    "missing_root_node": "root missing",
    "missing_neighbour_node": "partial tree: insertion beside a missing node",
}
"""What the oracle must find wrong with kinds that could easily be wrong in another way by mistake."""


@pytest.fixture
def host() -> Host:
    host = Host(0, "malformed", Directory(), system_clock, EventLog(), StreamRules())
    host.url = "http://localhost:2583"
    for _ in range(2):
        account = host.create_account()
        host.commit(account, *(Create(f"app.bsky.feed.like/{host.next_tid(account)}", {"n": n}) for n in range(30)))
    return host


def judge_all(host: Host) -> Iterator[tuple[Fate, str]]:
    """Judge the whole stream; identities are looked up as they are now."""

    def document_of(did: str) -> dict[str, object] | None:
        return None if did in host.directory.tombstones else host.directory.documents.get(did)

    oracle = StreamOracle(document_of, host.url, system_clock)
    for message in host.frames:
        yield oracle.judge(message.frame, text=message.opcode == Opcode.TEXT)


@pytest.mark.parametrize("name", MALFORMED)
def test_kind_has_the_fate_that_it_names(host: Host, name: str) -> None:
    message = inject(host, name)
    fate, reason = list(judge_all(host))[-1]
    assert message is host.frames[-1]
    assert fate == MALFORMED[name].fate, reason


@pytest.mark.parametrize(("name", "reason"), REASONS.items())
def test_kind_is_wrong_in_the_way_that_it_says(host: Host, name: str, reason: str) -> None:
    inject(host, name)
    assert list(judge_all(host))[-1] == (Fate.REJECT, reason)


@pytest.mark.parametrize("name", [name for name in MALFORMED if name not in ("unknown_status", "seq_too_large")])
def test_stream_goes_on_after_kind(host: Host, name: str) -> None:
    inject(host, name)
    account = next(iter(host.accounts.values()))
    host.commit(account, Create(f"app.bsky.feed.like/{host.next_tid(account)}", {"n": 99}))
    assert list(judge_all(host))[-1] == (Fate.KEEP, "")


def test_every_kind_says_what_is_wrong() -> None:
    for kind in MALFORMED.values():
        assert kind.description.endswith("."), kind.name
        assert len({other.description for other in MALFORMED.values()}) == len(MALFORMED)
