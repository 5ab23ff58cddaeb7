from __future__ import annotations

import json
from typing import Any

import pytest

from edgerelay.atproto.cid import cid_to_text
from edgerelay_dev.network.account import Account
from edgerelay_dev.network.car import read_car
from edgerelay_dev.network.host import Host
from edgerelay_dev.network.pds import SUBSCRIBE_PATH, Pds
from edgerelay_dev.network.plc import did_document
from edgerelay_dev.network.repository import Commit
from edgerelay_dev.network.server import Hangup, Request, Response, Upgrade


@pytest.fixture
def account(host: Host) -> Account:
    return host.create_account()


async def ask(host: Host, path: str, method: str = "GET", **query: str) -> Response:
    answer = await Pds(host).answer(Request(method, path, query, {}, b""))
    assert isinstance(answer, Response)
    return answer


async def sync_query(host: Host, name: str, **query: str) -> tuple[int, Any]:
    answer = await ask(host, f"/xrpc/com.atproto.sync.{name}", **query)
    return answer.status, json.loads(answer.body)


def head_of(account: Account) -> Commit:
    assert account.repository.head is not None
    return account.repository.head


async def test_health_and_description(host: Host) -> None:
    assert (await ask(host, "/xrpc/_health")).status == 200
    description = json.loads((await ask(host, "/xrpc/com.atproto.server.describeServer")).body)
    assert description["did"] == "did:web:localhost"
    assert "availableUserDomains" in description


async def test_status_of_an_active_account_has_its_rev(host: Host, account: Account) -> None:
    expected = {"did": account.did, "active": True, "rev": head_of(account).rev}
    assert await sync_query(host, "getRepoStatus", did=account.did) == (200, expected)


async def test_status_of_an_inactive_account_has_the_reason(host: Host, account: Account) -> None:
    host.set_status(account, "takendown")
    expected = {"did": account.did, "active": False, "status": "takendown"}
    assert await sync_query(host, "getRepoStatus", did=account.did) == (200, expected)


async def test_latest_commit(host: Host, account: Account) -> None:
    head = head_of(account)
    expected = {"cid": cid_to_text(head.block.cid), "rev": head.rev}
    assert await sync_query(host, "getLatestCommit", did=account.did) == (200, expected)


async def test_repository_is_exported(host: Host, account: Account) -> None:
    answer = await ask(host, "/xrpc/com.atproto.sync.getRepo", did=account.did)
    assert answer.headers["Content-Type"] == "application/vnd.ipld.car"
    assert read_car(answer.body)[0] == head_of(account).block.cid


async def test_blobs_are_served(host: Host, account: Account) -> None:
    account.store_blob(b"image", "image/png")
    [cid] = account.blobs
    answer = await ask(host, "/xrpc/com.atproto.sync.getBlob", did=account.did, cid=cid)
    assert (answer.status, answer.body, answer.headers) == (200, b"image", {"Content-Type": "image/png"})
    for did, name, error in ((account.did, "bafy", "BlobNotFound"), ("did:web:a.test", cid, "RepoNotFound")):
        status, body = await sync_query(host, "getBlob", did=did, cid=name)
        assert (status, body["error"]) == (400, error)
    host.set_status(account, "takendown")
    assert (await sync_query(host, "getBlob", did=account.did, cid=cid))[1]["error"] == "RepoTakendown"


@pytest.mark.parametrize("query", ["getRepo", "getLatestCommit"])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("deactivated", "RepoDeactivated"),
        ("takendown", "RepoTakendown"),
        ("suspended", "RepoSuspended"),
        ("deleted", "RepoNotFound"),
    ],
)
async def test_inactive_repositories_are_refused(
    host: Host, account: Account, query: str, status: str, error: str
) -> None:
    host.set_status(account, status)
    code, body = await sync_query(host, query, did=account.did)
    assert (code, body["error"]) == (400, error)


@pytest.mark.parametrize("query", ["getRepo", "getLatestCommit", "getRepoStatus"])
async def test_unknown_accounts_are_not_found(host: Host, query: str) -> None:
    code, body = await sync_query(host, query, did="did:plc:nobody")
    assert (code, body["error"]) == (400, "RepoNotFound")


async def test_repositories_are_listed_in_pages(host: Host) -> None:
    accounts = [host.create_account() for _ in range(5)]
    host.set_status(accounts[3], "deactivated")
    listed: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        _, page = await sync_query(host, "listRepos", limit="2", **cursor)
        listed += page["repos"]
        if "cursor" not in page:
            break
        cursor = {"cursor": page["cursor"]}
    assert [repo["did"] for repo in listed] == [account.did for account in accounts]
    assert [repo["active"] for repo in listed] == [True, True, True, False, True]
    assert listed[3]["status"] == "deactivated"
    assert listed[0]["head"] == cid_to_text(head_of(accounts[0]).block.cid)


async def test_did_web_document(host: Host) -> None:
    assert (await ask(host, "/.well-known/did.json")).status == 400
    account = host.create_account(web=True)
    answer = await ask(host, "/.well-known/did.json")
    assert json.loads(answer.body) == did_document(account)


async def test_unknown_path_is_not_found(host: Host) -> None:
    assert (await ask(host, "/xrpc/com.example.nothing")).status == 404


async def test_subscription_wants_get_and_an_upgrade(host: Host) -> None:
    assert (await ask(host, SUBSCRIBE_PATH, method="POST")).status == 405
    assert (await ask(host, SUBSCRIBE_PATH)).status == 426
    headers = {"upgrade": "websocket", "sec-websocket-key": "a"}
    assert isinstance(await Pds(host).answer(Request("GET", SUBSCRIBE_PATH, {}, headers, b"")), Upgrade)


async def test_faults_of_queries(host: Host) -> None:
    host.faults.set(api_status=503, retry_after_s=4)
    answer = await ask(host, "/xrpc/_health")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "4")
    host.faults.set(hangup=True)
    with pytest.raises(Hangup):
        await ask(host, "/xrpc/_health")
