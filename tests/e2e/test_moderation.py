"""Accounts that are taken down: nobody gets their events any more, live or from before, until they are restored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from edgerelay.archive.block import SealedBlock, unseal
from edgerelay.archive.container_index import Stream
from edgerelay.archive.firehose_block import open_batch
from edgerelay.runtime.container_objects import read_block, read_index
from edgerelay.runtime.objects import ObjectMissingError
from edgerelay_dev.brotli_codec import BrotliCodec
from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.background import NetworkThread
from edgerelay_dev.operator.simulator_objects import SimulatorObjects
from tests.coroutines import finished
from tests.e2e.jetstream_reader import check_lines, lines_of, query_of, read_lines
from tests.e2e.relays import ANSWER_LIMIT_S, Relay, upstream_settings
from tests.e2e.subscriber import Seen, Subscriber, wait_until
from tests.e2e.test_recovery import lose_storage, wait_archived

LIMIT_S = 90.0
TOKEN = "secret"
SETTINGS = {"SEAL_S": "1", "ALARM_S": "5", "BACKOFF_CAP_S": "2", "ADMIN_TOKEN": TOKEN}


@pytest.fixture
def background() -> Iterator[NetworkThread]:
    with NetworkThread(SimulatedNetwork(seed="moderation", accounts=5)) as network:
        yield network


def relay_of(background: NetworkThread, state_dir: Path, **more: str) -> Relay:
    return Relay(state_dir, {**upstream_settings(background), **SETTINGS, **more})


def order(relay: Relay, action: str, body: object, token: str = TOKEN) -> tuple[int, dict[str, Any]]:
    """What the relay answers to an order."""
    data = json.dumps(body).encode()
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    request = Request(f"{relay.url}/admin/{action}", data=data, headers=headers, method="POST")
    try:
        with urlopen(request, timeout=ANSWER_LIMIT_S) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as refusal:
        return refusal.code, json.loads(refusal.read())


def audit(relay: Relay) -> list[tuple[str, str, str]]:
    status, found = relay.get("/admin/audit", headers={"authorization": f"Bearer {TOKEN}"})
    assert status == 200
    return [(each["action"], each["did"], each["reason"]) for each in found["entries"]]


def without(events: list[Seen], did: str) -> list[Seen]:
    """Everything but what an account did; what is said of its status stays."""
    return [each for each in events if each.did != did or each.kind == "#account"]


def check_replay(relay: Relay, expected: list[Seen], cursor: int) -> None:
    """Readers of both streams get these events and nothing else."""
    with Subscriber(relay.ws_url, cursor) as reader:
        reader.wait_for(len(expected), LIMIT_S)
        assert [each.raw for each in reader.events] == [each.raw for each in expected]
        assert not reader.infos
    lines = lines_of(expected)
    check_lines(read_lines(relay, len(lines), query_of(cursor=cursor)), lines)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("where", ["log", "archive"])
def test_an_account_that_is_taken_down_is_gone_and_comes_back(
    tmp_path: Path, background: NetworkThread, where: str
) -> None:
    small = {"LOG_STOP_BYTES": "1000000", "LOG_MIN_MINUTES": "0", "RING_BYTES": "1000000"} if where == "archive" else {}
    with ExitStack() as stack:
        relay = stack.enter_context(relay_of(background, tmp_path, CHECKPOINT_S="5", **small))
        live = stack.enter_context(Subscriber(relay.ws_url, 0))
        did = background.call(lambda network: next(iter(network.hosts[0].accounts)))
        background.call(lambda network: network.traffic.run(1_500 if where == "archive" else 150))
        emitted = background.call(lambda network: len(network.hosts[0].frames))
        live.wait_for(emitted, LIMIT_S)
        if where == "archive":
            wait_archived(relay)
        first = live.seqs[0]

        assert order(relay, "takedown", {"did": did, "reason": "spam"})[1]["status"] == "takendown"
        live.wait_for(emitted + 1, LIMIT_S)
        told = live.events[-1]
        assert (told.kind, told.did, told.body["active"], told.body["status"]) == ("#account", did, False, "takendown")
        check_replay(relay, without(live.events, did), first)

        background.call(lambda network: network.traffic.run(100))
        frames = background.call(lambda network: [each.frame for each in network.hosts[0].frames])
        wait_until(lambda: relay.upstream()["low"] >= len(frames), LIMIT_S, "everything is read")
        assert relay.upstream()["rejects"]["inactive_account"] > 0
        assert not [each for each in live.events[emitted + 1 :] if each.did == did and each.kind == "#commit"]
        relay.crash()
        check_replay(relay, without(live.events, did), first)

        status, answer = order(relay, "restore", {"did": did})
        assert (status, answer["active"]) == (200, True)
        wait_until(lambda: live.events[-1].did == did, LIMIT_S, "the account is said to be active")
        assert live.events[-1].body["active"]
        check_replay(relay, live.events, first)
        assert audit(relay) == [("restore", did, ""), ("takedown", did, "spam")]


@pytest.mark.timeout(400)
def test_what_was_taken_down_stays_so_when_the_storage_is_lost(tmp_path: Path, background: NetworkThread) -> None:
    did = background.call(lambda network: next(iter(network.hosts[0].accounts)))
    with relay_of(background, tmp_path) as relay, Subscriber(relay.ws_url, 0) as live:
        background.call(lambda network: network.traffic.run(60))
        live.wait_for(background.call(lambda network: len(network.hosts[0].frames)), LIMIT_S)
        order(relay, "takedown", {"did": did})
        live.wait_for(len(live.events) + (live.events[-1].did != did), LIMIT_S)
        wait_archived(relay)
        expected, first = without(live.events, did), live.seqs[0]
    lose_storage(tmp_path)
    with relay_of(background, tmp_path) as relay:
        relay.wait_live()
        check_replay(relay, expected, first)
        assert relay.get(f"/xrpc/com.atproto.sync.getRepoStatus?did={did}")[1]["status"] == "takendown"


def holders(state_dir: Path, did: str) -> list[str]:
    """Objects in the bucket with bytes of what an account wrote, as frames or as lines."""
    codec = BrotliCodec()

    async def look() -> list[str]:
        found = []
        with SimulatorObjects(state_dir) as objects:
            for key in [name for name in await objects.names("") if name.endswith(".ers")]:
                index = await read_index(objects, key)
                for block in index.blocks:
                    packed = await read_block(objects, key, block)
                    found += [key for kind, owner in owners(index.stream, packed) if (kind, owner) == ("commit", did)]
        return sorted(set(found))

    def owners(stream: Stream, packed: SealedBlock) -> list[tuple[str, str]]:
        """Kind and account of each event, or of each line."""
        if stream is Stream.JETSTREAM:
            lines = map(json.loads, unseal(packed, {codec.id: codec}).splitlines())
            return [(line["kind"], line["did"]) for line in lines]
        head = open_batch(packed, {codec.id: codec}).head
        return [(kind.removeprefix("#"), did) for kind, did in zip(head.kinds, head.dids, strict=True)]

    try:
        return finished(look())
    except ObjectMissingError:  # taken away since it was listed
        return ["?"]


@pytest.mark.timeout(400)
def test_what_is_purged_is_in_no_object_and_everything_else_is_replayed(
    tmp_path: Path, background: NetworkThread
) -> None:
    did = background.call(lambda network: next(iter(network.hosts[0].accounts)))
    small = {"LOG_STOP_BYTES": "1000000", "LOG_MIN_MINUTES": "0", "RING_BYTES": "1000000", "CHECKPOINT_S": "5"}
    with ExitStack() as stack:
        relay = stack.enter_context(relay_of(background, tmp_path, **small))
        live = stack.enter_context(Subscriber(relay.ws_url, 0))
        background.call(lambda network: network.traffic.run(800))
        live.wait_for(background.call(lambda network: len(network.hosts[0].frames)), LIMIT_S)
        wait_archived(relay)
        assert holders(tmp_path, did)
        assert order(relay, "purge", {"did": did, "reason": "asked for it"})[0] == 200
        wait_until(lambda: not holders(tmp_path, did), LIMIT_S, "no object has anything of it")
        relay.crash()
        check_replay(relay, without(live.events, did), live.seqs[0])
        order(relay, "restore", {"did": did})
        wait_until(lambda: live.events[-1].body.get("active") is True, LIMIT_S, "the restore is told")
        check_replay(relay, without(live.events, did), live.seqs[0])
        assert audit(relay)[1:] == [("purge", did, "asked for it")]


def test_strangers_and_nonsense_change_nothing(tmp_path: Path, background: NetworkThread) -> None:
    did = background.call(lambda network: next(iter(network.hosts[0].accounts)))
    with relay_of(background, tmp_path) as relay:
        relay.wait_live()
        assert order(relay, "takedown", {"did": did}, token="wrong")[0] == 401
        assert order(relay, "takedown", {"did": "somebody"})[0] == 400
        assert order(relay, "takedown", [did])[0] == 400
        assert order(relay, "takedown", {"did": did, "reason": "x" * 9_000})[0] == 413
        assert relay.get("/admin/takedown", headers={"authorization": f"Bearer {TOKEN}"})[0] == 405
        assert audit(relay) == []
