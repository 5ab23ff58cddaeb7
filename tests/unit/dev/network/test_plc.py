from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from edgerelay_dev.network.account import Account, open_account, plc_did
from edgerelay_dev.network.plc import Directory, LookupFault, did_document
from edgerelay_dev.network.server import Hangup, Request, Response

PATIENCE_S = 5


@pytest.fixture
def account(directory: Directory) -> Account:
    account = open_account(plc_did("a"), "a.test", "k256", "seed", "http://localhost:1")
    directory.publish(account)
    return account


async def look_up(directory: Directory, did: str) -> Response:
    return await directory.answer(Request("GET", f"/{did}", {}, {}, b""))


def test_document_names_key_host_and_handle(account: Account) -> None:
    document = did_document(account)
    assert document["id"] == account.did
    assert document["alsoKnownAs"] == ["at://a.test"]
    assert document["verificationMethod"] == [
        {
            "id": f"{account.did}#atproto",
            "type": "Multikey",
            "controller": account.did,
            "publicKeyMultibase": account.key.multikey,
        }
    ]
    assert document["service"] == [
        {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": "http://localhost:1"}
    ]


def test_legacy_document_has_the_form_that_the_reference_server_gives(account: Account, shared_data: Path) -> None:
    recorded = next(iter(json.loads((shared_data / "capture/plc.json").read_text()).values()))["doc"]
    (ours,), (theirs,) = did_document(account, legacy=True)["verificationMethod"], recorded["verificationMethod"]
    assert {name: ours[name] for name in ("id", "type")} == {name: theirs[name] for name in ("id", "type")}
    assert ours["publicKeyMultibase"] == account.key.legacy_multibase
    assert len(ours["publicKeyMultibase"]) == len(theirs["publicKeyMultibase"])


async def test_lookup_answers_with_the_document_and_is_counted(directory: Directory, account: Account) -> None:
    answer = await look_up(directory, account.did)
    assert (answer.status, json.loads(answer.body)) == (200, did_document(account))
    assert answer.headers["Content-Type"] == "application/did+ld+json"
    await look_up(directory, account.did.replace(":", "%3A"))
    assert directory.lookups == {account.did: 2}


async def test_unknown_and_tombstoned_dids(directory: Directory, account: Account) -> None:
    assert (await look_up(directory, plc_did("unknown"))).status == 404
    directory.tombstone(account.did)
    assert (await look_up(directory, account.did)).status == 410
    directory.tombstone(account.did, 404)
    assert (await look_up(directory, account.did)).status == 404


async def test_health_is_no_lookup(directory: Directory) -> None:
    assert (await look_up(directory, "_health")).status == 200
    assert not directory.lookups


async def test_fault_of_one_did_leaves_the_others_alone(directory: Directory, account: Account) -> None:
    other = open_account(plc_did("b"), "b.test", "p256", "seed", "http://localhost:1")
    directory.publish(other)
    directory.fail(LookupFault(status=500), account.did)
    assert [(await look_up(directory, did)).status for did in (account.did, other.did)] == [500, 200]
    directory.heal(account.did)
    assert (await look_up(directory, account.did)).status == 200


async def test_fault_of_all_with_a_header_and_a_body(directory: Directory, account: Account) -> None:
    directory.fail(LookupFault(status=429, headers={"Retry-After": "7"}, body="<html>"))
    answer = await look_up(directory, account.did)
    assert (answer.status, answer.headers["Retry-After"], answer.body) == (429, "7", b"<html>")
    directory.heal()
    assert (await look_up(directory, account.did)).status == 200


async def test_directory_can_hang_up(directory: Directory, account: Account) -> None:
    directory.fail(LookupFault(hangup=True))
    with pytest.raises(Hangup):
        await look_up(directory, account.did)


async def test_slow_lookup_is_right_in_the_end(directory: Directory, account: Account) -> None:
    directory.fail(LookupFault(delay_s=0.02))
    started = asyncio.get_running_loop().time()
    assert (await look_up(directory, account.did)).status == 200
    assert asyncio.get_running_loop().time() - started >= 0.019


@pytest.mark.parametrize("of_all", [False, True])
async def test_stalled_lookup_is_answered_when_healed(directory: Directory, account: Account, *, of_all: bool) -> None:
    directory.fail(LookupFault(stall=True), None if of_all else account.did)
    lookup = asyncio.ensure_future(look_up(directory, account.did))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(lookup), 0.02)
    directory.heal(None if of_all else account.did)
    assert (await asyncio.wait_for(lookup, PATIENCE_S)).status == 200


def test_healing_a_did_without_a_fault_is_harmless(directory: Directory) -> None:
    directory.heal("did:plc:nobody")


def test_documents_survive_a_file(directory: Directory, account: Account, tmp_path: Path) -> None:
    directory.save(tmp_path / "plc.json")
    other = Directory()
    assert other.load(tmp_path / "plc.json") == 1
    assert other.documents == directory.documents
    other.load(tmp_path / "plc.json", "http://localhost:9")
    assert other.documents[account.did]["service"][0]["serviceEndpoint"] == "http://localhost:9"


def test_documents_of_a_recording(directory: Directory, shared_data: Path) -> None:
    count = directory.load(shared_data / "capture/plc.json", "http://localhost:9")
    services = [document["service"] for document in directory.documents.values()]
    assert len(services) == count
    assert all(service["serviceEndpoint"] == "http://localhost:9" for (service,) in services)
