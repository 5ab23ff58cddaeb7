"""A host's endpoints: the stream, and what a relay asks about accounts and repositories.

Spec: XRPC; the `com.atproto.sync` and `com.atproto.server` Lexicons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from time import time
from typing import Final, Protocol

from edgerelay.atproto.cid import cid_to_text
from edgerelay_dev.network.account import Account
from edgerelay_dev.network.faults import Faults
from edgerelay_dev.network.log import Feed
from edgerelay_dev.network.plc import did_document
from edgerelay_dev.network.server import (
    Answer,
    Hangup,
    HttpServer,
    Request,
    Response,
    Upgrade,
    error_response,
    http_date,
    json_response,
)
from edgerelay_dev.network.subscription import StreamRules, Subscription

__all__ = ["Pds", "Served"]

SUBSCRIBE_PATH: Final = "/xrpc/com.atproto.sync.subscribeRepos"
CAR_TYPE: Final = "application/vnd.ipld.car"
_LIST_REPOS_DEFAULT: Final = 500
_LIST_REPOS_MAX: Final = 1000
_UNAVAILABLE: Final = {"takendown": "RepoTakendown", "suspended": "RepoSuspended", "deactivated": "RepoDeactivated"}


class Served(Protocol):
    """What a host must have to be served."""

    url: str
    faults: Faults
    rules: StreamRules

    @property
    def log(self) -> Feed:
        """The stream."""

    @property
    def accounts(self) -> Mapping[str, Account]:
        """Accounts by DID."""


class Pds:
    """Serves one host over HTTP."""

    def __init__(self, host: Served) -> None:
        self.host = host
        self.server = HttpServer(self.answer, self._date)
        self._queries: dict[str, Callable[[Request], Response]] = {
            "/xrpc/_health": lambda _: json_response({"version": "simulated"}),
            "/xrpc/com.atproto.server.describeServer": self._describe_server,
            "/xrpc/com.atproto.sync.getRepoStatus": self._get_repo_status,
            "/xrpc/com.atproto.sync.getLatestCommit": self._get_latest_commit,
            "/xrpc/com.atproto.sync.getRepo": self._get_repo,
            "/xrpc/com.atproto.sync.getBlob": self._get_blob,
            "/xrpc/com.atproto.sync.listRepos": self._list_repos,
            "/.well-known/did.json": self._get_did_document,
        }

    async def answer(self, request: Request) -> Answer:
        """Handle one request, as well as the faults allow."""
        faults = self.host.faults
        if faults.hangup:
            raise Hangup
        while faults.mute:
            await faults.change()
        if request.path == SUBSCRIBE_PATH:
            return self._subscribe(request)
        if faults.api_status is not None:
            return self._fault_on_demand(faults.api_status)
        query = self._queries.get(request.path)
        if query is None:
            return error_response(HTTPStatus.NOT_FOUND, "MethodNotImplemented", "Method Not Implemented")
        return query(request)

    def _subscribe(self, request: Request) -> Answer:
        if (status := self.host.faults.upgrade_status) is not None:
            return self._fault_on_demand(status)
        if request.method != "GET":
            return error_response(HTTPStatus.METHOD_NOT_ALLOWED, "InvalidRequest", "Use GET")
        if not request.wants_websocket:
            return error_response(HTTPStatus.UPGRADE_REQUIRED, "InvalidRequest", "Use a WebSocket")
        host = self.host
        return Upgrade(Subscription(host.log, host.faults, host.rules, request.query.get("cursor")).serve)

    def _fault_on_demand(self, status: int) -> Response:
        retry_after = self.host.faults.retry_after_s
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return error_response(status, "FaultOnDemand", "fault on demand", headers)

    def _date(self) -> str | None:
        faults = self.host.faults
        return None if faults.omit_date else http_date(time() + faults.date_skew_s)

    def _describe_server(self, request: Request) -> Response:
        did = "did:web:" + self.host.url.split("//")[1].split(":")[0]
        return json_response({"did": did, "availableUserDomains": [".test"], "inviteCodeRequired": False})

    def _get_repo_status(self, request: Request) -> Response:
        account = self.host.accounts.get(request.query.get("did", ""))
        if account is None:
            return _not_found(request)
        head = account.repository.head
        status = {"rev": head.rev} if account.status is None and head is not None else {"status": account.status}
        return json_response({"did": account.did, "active": account.active, **status})

    def _get_latest_commit(self, request: Request) -> Response:
        account = self.host.accounts.get(request.query.get("did", ""))
        if account is None or account.repository.head is None:
            return _not_found(request)
        head = account.repository.head
        return _unavailable(account) or json_response({"cid": cid_to_text(head.block.cid), "rev": head.rev})

    def _get_repo(self, request: Request) -> Response:
        account = self.host.accounts.get(request.query.get("did", ""))
        if account is None:
            return _not_found(request)
        return _unavailable(account) or Response(body=account.repository.export(), headers={"Content-Type": CAR_TYPE})

    def _get_blob(self, request: Request) -> Response:
        account = self.host.accounts.get(request.query.get("did", ""))
        if account is None:
            return _not_found(request)
        blob = account.blobs.get(request.query.get("cid", ""))
        if blob is None:
            return error_response(HTTPStatus.BAD_REQUEST, "BlobNotFound", "Blob not found")
        return _unavailable(account) or Response(body=blob.data, headers={"Content-Type": blob.mime_type})

    def _list_repos(self, request: Request) -> Response:
        limit = min(int(request.query.get("limit", _LIST_REPOS_DEFAULT)), _LIST_REPOS_MAX)
        start = int(request.query.get("cursor", 0))
        accounts = list(self.host.accounts.values())
        page = [_listed(account) for account in accounts[start : start + limit]]
        more = {"cursor": str(start + limit)} if start + limit < len(accounts) else {}
        return json_response({"repos": page, **more})

    def _get_did_document(self, request: Request) -> Response:
        for did, account in self.host.accounts.items():
            if did.startswith("did:web:"):
                return json_response(did_document(account))
        return _not_found(request)


def _listed(account: Account) -> dict[str, object]:
    head = account.repository.head
    assert head is not None
    status = {} if account.status is None else {"status": account.status}
    return {
        "did": account.did,
        "head": cid_to_text(head.block.cid),
        "rev": head.rev,
        "active": account.active,
        **status,
    }


def _unavailable(account: Account) -> Response | None:
    if account.status is None:
        return None
    name = _UNAVAILABLE.get(account.status, "RepoNotFound")
    return error_response(HTTPStatus.BAD_REQUEST, name, f"{account.did} is {account.status}")


def _not_found(request: Request) -> Response:
    did = request.query.get("did", "")
    return error_response(HTTPStatus.BAD_REQUEST, "RepoNotFound", f"Could not find repo for DID: {did}")
