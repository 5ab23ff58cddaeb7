"""Blobs: where they are, URLs that expire, what passes through the relay, and which records hold them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from time import time
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest

from edgerelay.api.blob_index import BLOB_INDEX_PATH
from edgerelay.api.blobs import BLOB_PATHS, BlobName, sign_blob
from edgerelay.atproto.cid import cid_for_raw, cid_to_text
from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.account import Account, StoredBlob
from edgerelay_dev.network.background import NetworkThread
from edgerelay_dev.network.repository import Create
from tests.e2e.relays import Relay, upstream_settings
from tests.e2e.subscriber import wait_until

GET_BLOB, BLOB_URL = BLOB_PATHS
TOKEN, SECRET = "3b1f-operator", "a secret"
OPERATOR = {"authorization": f"Bearer {TOKEN}"}
ARRIVE_LIMIT_S = 60.0
IMAGE = b"an image"
MAX_BYTES = 65_536
TWO_MINUTES_REQUESTS = 601
"""One more than an address may ask in two windows of the limit, between which a series of requests may fall."""


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
        answers = (ask(relay.url, GET_BLOB, did="did:web:a.test", cid=blob.cid) for _ in range(TWO_MINUTES_REQUESTS))
        refusal = next(answer for answer in answers if answer.status != 404)
        assert refusal.error == (429, "RateLimitExceeded")
        assert refusal.headers["retry-after"] == "60"
        expires_s = int(time()) + 60
        signed = {**blob._asdict(), "expires": str(expires_s), "signature": sign_blob(blob, expires_s, SECRET)}
        assert ask(relay.url, GET_BLOB, **signed).status == 302, "a signed URL is not counted"


@pytest.fixture(scope="module")
def caching(background: NetworkThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    settings = {**upstream_settings(background), "BLOB_CACHE": "on", "BLOB_MAX_BYTES": str(MAX_BYTES)}
    with Relay(tmp_path_factory.mktemp("caching"), settings) as relay:
        relay.wait_live()
        yield relay


class TestCache:
    def post(self, caching: Relay, background: NetworkThread, data: bytes, mime_type: str = "image/png") -> BlobName:
        """Somebody posts a blob, and the relay has seen it."""
        blob = background.call(lambda network: post(network, data, mime_type))
        wait_for(caching, background)
        return blob

    def misplace(self, background: NetworkThread, blob: BlobName, data: bytes) -> None:
        """The host has something else there from now on."""
        there = StoredBlob(data, "image/png")
        background.call(lambda network: first_account(network).blobs.update({blob.cid: there}))

    def turn(self, background: NetworkThread, **faults: object) -> None:
        background.call(lambda network: network.hosts[0].faults.set(**faults))

    def test_a_blob_is_read_once(self, caching: Relay, background: NetworkThread) -> None:
        data = bytes(range(256)) * (MAX_BYTES // 256)
        blob = self.post(caching, background, data)
        answers = [ask(caching.url, GET_BLOB, **blob._asdict())]
        self.misplace(background, blob, b"other")
        answers += [ask(caching.url, GET_BLOB, method=method, **blob._asdict()) for method in ("GET", "HEAD")]
        assert [(each.status, each.body) for each in answers] == [(200, data), (200, data), (200, b"")]
        for each in answers:
            assert each.headers["content-type"] == "image/png"
            assert each.headers["content-security-policy"] == "default-src 'none'; sandbox"
            assert each.headers["x-content-type-options"] == "nosniff"
            assert each.headers["access-control-allow-origin"] == "*"
        assert len({each.headers["x-request-id"] for each in answers}) == len(answers)

    def test_the_cache_holds_nothing_of_an_account_that_was_taken_down(
        self, caching: Relay, background: NetworkThread
    ) -> None:
        blob = self.post(caching, background, b"soon gone")
        assert ask(caching.url, GET_BLOB, **blob._asdict()).status == 200
        background.call(lambda network: network.hosts[0].set_status(first_account(network), "takendown"))
        wait_for(caching, background)
        assert ask(caching.url, GET_BLOB, **blob._asdict()).error == (403, "RepoTakendown")
        background.call(lambda network: network.hosts[0].set_status(first_account(network), None))
        wait_for(caching, background)

    @pytest.mark.parametrize(
        ("data", "mime_type", "error"),
        [
            (bytes(MAX_BYTES + 1), "image/png", (413, "BlobTooLarge")),
            (b"<svg/>", "image/svg+xml", (415, "BlobTypeNotAllowed")),
        ],
        ids=["too large", "type"],
    )
    def test_what_must_not_pass_does_not(
        self, caching: Relay, background: NetworkThread, data: bytes, mime_type: str, error: tuple[int, str]
    ) -> None:
        blob = self.post(caching, background, data, mime_type)
        assert ask(caching.url, GET_BLOB, **blob._asdict()).error == error

    @pytest.mark.parametrize("sent", [b"", b"forged!", b"genuine and more"])
    def test_what_is_not_what_the_cid_names_does_not_pass(
        self, caching: Relay, background: NetworkThread, sent: bytes
    ) -> None:
        genuine = b"genuine " + sent
        blob = self.post(caching, background, genuine)
        self.misplace(background, blob, sent)
        assert ask(caching.url, GET_BLOB, **blob._asdict()).error == (502, "InvalidBlob")
        self.misplace(background, blob, genuine)
        assert ask(caching.url, GET_BLOB, **blob._asdict()).body == genuine, "a failure is not kept"

    def test_a_host_that_does_not_have_it_or_does_not_answer(self, caching: Relay, background: NetworkThread) -> None:
        blob = self.post(caching, background, b"far away")
        missing = BlobName(blob.did, cid_to_text(cid_for_raw(b"never posted")))
        assert ask(caching.url, GET_BLOB, **missing._asdict()).error == (404, "BlobNotFound")
        for fault, value in (("api_status", 500), ("hangup", True), ("mute", True)):
            self.turn(background, **{fault: value})
            answer = ask(caching.url, GET_BLOB, **blob._asdict())
            self.turn(background, **{fault: None})
            assert answer.error == (502, "HostUnavailable")
        assert ask(caching.url, GET_BLOB, **blob._asdict()).body == b"far away"


def found(relay: Relay, **query: str) -> list[dict[str, Any]]:
    """What the operator finds; all of it, as there is little."""
    answer = ask(relay.url, BLOB_INDEX_PATH, headers=OPERATOR, **query)
    assert answer.status == 200, answer.body
    body = json.loads(answer.body)
    assert (body["damaged"], "cursor" in body) == ([], False)
    blobs: list[dict[str, Any]] = body["blobs"]
    return blobs


def test_when_an_hour_is_over_its_records_are_found_by_their_blobs(tmp_path: Path) -> None:
    with ExitStack() as stack:
        background = stack.enter_context(NetworkThread(SimulatedNetwork(seed="references", accounts=2)))
        host = background.call(lambda network: network.hosts[0].url)
        settings = {"BLOB_INDEX": "on", "ADMIN_TOKEN": TOKEN, "SEAL_S": "1", "CHECKPOINT_S": "5", "ALARM_S": "5"}
        relay = stack.enter_context(Relay(tmp_path, {**upstream_settings(background), **settings}))
        relay.wait_live()
        first, second = (background.call(lambda network: post(network, IMAGE)) for _ in range(2))
        other = background.call(lambda network: post(network, b"another image", "image/jpeg"))
        wait_for(relay, background)
        assert first == second
        newest_seq = relay.state()["hot_log"]["last_seq"]
        wait_until(lambda: relay.state()["archive"]["archived_seq"] >= newest_seq, ARRIVE_LIMIT_S, "archived")
        wait_until(lambda: relay.state()["storage"]["checkpoint_seq"] >= newest_seq, ARRIVE_LIMIT_S, "checkpoint")
        assert found(relay, did=first.did) == []

        relay.stop()
        # An hour and more later; no host is read any more, as its clock would be another.
        relay.vars |= {"REHEARSAL_CLOCK_S": "4000", "UPSTREAM": ""}
        relay.start()
        assert ask(relay.url, "/cdn-cgi/handler/scheduled").status == 200
        assert len(json.loads(relay.rehearse("objects", "blobs/"))) == 1
        references = found(relay, did=first.did)
        assert [(each["cid"], each["mimeType"], each["size"]) for each in references] == [
            (other.cid, "image/jpeg", len(b"another image")),
            (first.cid, "image/png", len(IMAGE)),
            (first.cid, "image/png", len(IMAGE)),
        ]
        assert {each["host"] for each in references} == {host}
        posts = background.call(lambda network: list(first_account(network).repository.records))
        assert {each["uri"] for each in references} == {f"at://{first.did}/{path}" for path in posts}
        assert found(relay, did=first.did, cid=other.cid) == found(relay, cid=other.cid) == references[:1]
        assert found(relay, did="did:web:nobody.test") == []
        assert ask(relay.url, BLOB_INDEX_PATH, did=first.did).error == (401, "AuthenticationRequired")
