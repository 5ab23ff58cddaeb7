"""Blobs: where they are, and URLs that expire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from time import time
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest

from edgerelay.api.blobs import BLOB_PATHS, BlobName, sign_blob
from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.account import Account
from edgerelay_dev.network.background import NetworkThread
from edgerelay_dev.network.repository import Create
from tests.e2e.relays import Relay, upstream_settings
from tests.e2e.subscriber import wait_until

GET_BLOB, BLOB_URL = BLOB_PATHS
TOKEN, SECRET = "3b1f-operator", "a secret"
OPERATOR = {"authorization": f"Bearer {TOKEN}"}
ARRIVE_LIMIT_S = 60.0
IMAGE = b"an image"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> tuple[int, str]:
        return self.status, json.loads(self.body)["error"]


def ask(url: str, path: str, *, method: str = "GET", headers: dict[str, str] | None = None, **query: str) -> Answer:
    """An answer as it is: whoever is sent elsewhere does not go there."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=ARRIVE_LIMIT_S)
    try:
        connection.request(method, f"{path}?{urlencode(query)}" if query else path, headers=headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def first_account(network: SimulatedNetwork) -> Account:
    return next(iter(network.hosts[0].accounts.values()))


def post(network: SimulatedNetwork, data: bytes = IMAGE, mime_type: str = "image/png") -> BlobName:
    """The first account writes a record with a blob."""
    host, account = network.hosts[0], first_account(network)
    blob = account.store_blob(data, mime_type)
    host.commit(account, Create(f"app.bsky.feed.post/{host.next_tid(account)}", {"embed": {"images": [blob]}}))
    return BlobName(account.did, list(account.blobs)[-1])


def wait_for(relay: Relay, background: NetworkThread) -> None:
    """Until the relay has passed on everything that its host has said."""
    newest = background.call(lambda network: network.hosts[0].frames[-1].seq)
    wait_until(lambda: relay.upstream()["low"] >= newest, ARRIVE_LIMIT_S, "everything arrived")


@pytest.fixture(scope="module")
def background() -> Iterator[NetworkThread]:
    with NetworkThread(SimulatedNetwork(seed="blobs", accounts=2)) as network:
        yield network


@pytest.fixture(scope="module")
def relay(background: NetworkThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    settings = {**upstream_settings(background), "ADMIN_TOKEN": TOKEN, "BLOB_URL_SECRET": SECRET}
    with Relay(tmp_path_factory.mktemp("blobs"), settings) as relay:
        relay.wait_live()
        yield relay


@pytest.fixture(scope="module")
def blob(relay: Relay, background: NetworkThread) -> BlobName:
    blob = background.call(post)
    wait_for(relay, background)
    return blob


class TestWhere:
    def test_whoever_asks_is_sent_to_the_host_and_finds_it_there(self, relay: Relay, blob: BlobName) -> None:
        answer = ask(relay.url, GET_BLOB, **blob._asdict())
        assert (answer.status, answer.body, answer.headers["cache-control"]) == (302, b"", "no-store")
        assert answer.headers["access-control-allow-origin"] == "*"
        there = urlsplit(answer.headers["location"])
        found = ask(f"{there.scheme}://{there.netloc}", f"{there.path}?{there.query}")
        assert (found.status, found.headers["content-type"], found.body) == (200, "image/png", IMAGE)

    def test_an_identity_that_is_not_known_is_looked_up(
        self, relay: Relay, background: NetworkThread, blob: BlobName
    ) -> None:
        # An #account makes RelayState forget the identity; nobody asks for it before the next commit.
        background.call(lambda network: network.hosts[0].announce_account(first_account(network)))
        wait_for(relay, background)
        assert ask(relay.url, GET_BLOB, **blob._asdict()).status == 302

    def test_whose_account_is_not_known_or_not_active_is_told_so(
        self, relay: Relay, background: NetworkThread, blob: BlobName
    ) -> None:
        assert ask(relay.url, GET_BLOB, did="did:web:a.test", cid=blob.cid).error == (404, "RepoNotFound")
        assert ask(relay.url, GET_BLOB, did=blob.did).error == (400, "InvalidRequest")
        background.call(lambda network: network.hosts[0].set_status(first_account(network), "takendown"))
        wait_for(relay, background)
        assert ask(relay.url, GET_BLOB, **blob._asdict()).error == (403, "RepoTakendown")
        assert ask(relay.url, BLOB_URL, headers=OPERATOR, **blob._asdict()).error == (403, "RepoTakendown")
        background.call(lambda network: network.hosts[0].set_status(first_account(network), None))
        wait_for(relay, background)
        assert ask(relay.url, GET_BLOB, **blob._asdict()).status == 302

    def test_a_signed_url_is_good_until_it_expires(self, relay: Relay, blob: BlobName) -> None:
        assert ask(relay.url, BLOB_URL, **blob._asdict()).error == (401, "AuthenticationRequired")
        answer = ask(relay.url, BLOB_URL, headers=OPERATOR, **blob._asdict())
        url = json.loads(answer.body)["url"]
        assert (answer.status, url.startswith(relay.url + GET_BLOB)) == (200, True)
        signed = urlsplit(url)
        assert ask(relay.url, f"{signed.path}?{signed.query}").status == 302
        forged = f"{signed.path}?{signed.query}".replace("expires=", "expires=1")
        assert ask(relay.url, forged).error == (403, "InvalidSignature")
        past_s = int(time()) - 1
        expired = {**blob._asdict(), "expires": str(past_s), "signature": sign_blob(blob, past_s, SECRET)}
        assert ask(relay.url, GET_BLOB, **expired).error == (403, "ExpiredSignature")

    def test_browsers_may_ask(self, relay: Relay, blob: BlobName) -> None:
        assert ask(relay.url, GET_BLOB, method="OPTIONS").status == 204
        head = ask(relay.url, GET_BLOB, method="HEAD", **blob._asdict())
        assert (head.status, head.body) == (302, b"")

    def test_one_address_can_ask_only_so_often(self, relay: Relay, blob: BlobName) -> None:
        statuses = [ask(relay.url, GET_BLOB, did="did:web:a.test", cid=blob.cid).status for _ in range(400)]
        assert set(statuses) == {404, 429}
        past_s = int(time()) + 60
        signed = {**blob._asdict(), "expires": str(past_s), "signature": sign_blob(blob, past_s, SECRET)}
        assert ask(relay.url, GET_BLOB, **signed).status == 302, "a signed URL is not counted"
