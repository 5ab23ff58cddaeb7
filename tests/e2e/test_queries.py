"""Endpoints that RelayState answers, through the entry Worker: what was refused of a host, and of whom."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from edgerelay.relay.reject import RejectReason
from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.background import NetworkThread
from edgerelay_dev.network.malformed import inject
from tests.e2e.relays import Relay, upstream_settings
from tests.e2e.subscriber import wait_until

TOKEN = "3b1f-operator"
OPERATOR = {"authorization": f"Bearer {TOKEN}"}
ARRIVE_LIMIT_S = 60.0
STATUS = "/xrpc/com.atproto.sync.getRepoStatus"


@pytest.fixture(scope="module")
def background() -> Iterator[NetworkThread]:
    with NetworkThread(SimulatedNetwork(seed="queries", accounts=3)) as network:
        yield network


@pytest.fixture(scope="module")
def relay(background: NetworkThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """A relay that has refused one forged commit of its host."""
    settings = {**upstream_settings(background), "ADMIN_TOKEN": TOKEN}
    with Relay(tmp_path_factory.mktemp("queries"), settings) as relay:
        relay.wait_live()
        background.call(lambda network: inject(network.hosts[0], "forged_signature"))
        wait_until(lambda: relay.upstream()["rejects"]["bad_signature"] == 1, ARRIVE_LIMIT_S, "a refusal")
        yield relay


@pytest.fixture(scope="module")
def host(background: NetworkThread) -> str:
    """Name and port of the host."""
    return background.call(lambda network: network.hosts[0].hostname)


def ask(
    relay: Relay, path: str, *, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer; the path is sent as it is."""
    connection = HTTPConnection(urlsplit(relay.url).netloc, timeout=ARRIVE_LIMIT_S)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


class TestRejects:
    def test_anybody_sees_what_was_refused_and_why(self, relay: Relay, background: NetworkThread, host: str) -> None:
        status, found = relay.get(f"/hosts/{host}/rejects")
        assert (status, found["host"], found["kind"], found["total"]) == (200, host, "pds", 1)
        assert next(iter(found["reasons"])) == "bad_signature"
        assert set(found["reasons"]) == set(RejectReason)
        forged = found["reasons"]["bad_signature"]
        account = background.call(lambda network: next(iter(network.hosts[0].accounts.values())).did)
        assert (forged["meaning"], forged["count"]) == (RejectReason.BAD_SIGNATURE.meaning, 1)
        assert [(each["kind"], each["did"]) for each in forged["latest"]] == [("#commit", account)]
        assert "frame" not in forged

    def test_the_operator_sees_the_frame(self, relay: Relay, background: NetworkThread, host: str) -> None:
        status, found = relay.get(f"/admin/hosts/{host}/rejects", headers=OPERATOR)
        emitted = background.call(lambda network: network.hosts[0].frames[-1].frame)
        assert status == 200
        assert b64decode(found["reasons"]["bad_signature"]["frame"]) == emitted

    def test_a_name_may_be_percent_encoded_and_in_any_case(self, relay: Relay, host: str) -> None:
        plain = relay.get(f"/hosts/{host}/rejects")
        assert relay.get(f"/hosts/{host.replace(':', '%3A').upper()}/rejects") == plain

    @pytest.mark.parametrize("name", ["other.test", "%FF", "..%2Fadmin", "a" * 700])
    def test_a_host_that_is_not_read_is_not_found(self, relay: Relay, name: str) -> None:
        status, _, body = ask(relay, f"/hosts/{name}/rejects")
        assert (status, json.loads(body)["error"]) == (404, "HostNotFound")


class TestAccounts:
    def test_the_status_of_one_that_was_seen(self, relay: Relay, background: NetworkThread) -> None:
        def newest(network: SimulatedNetwork) -> tuple[str, str]:
            account = next(iter(network.hosts[0].accounts.values()))
            assert account.repository.head is not None
            return account.did, account.repository.head.rev

        did, rev = background.call(newest)
        assert relay.get(f"{STATUS}?did={did}") == (200, {"did": did, "active": True, "rev": rev})

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", (400, "InvalidRequest")),
            ("?did=alice", (400, "InvalidRequest")),
            ("?did=did:web:a.test&did=did:web:a.test", (400, "InvalidRequest")),
            ("?did=did:web:a.test", (404, "RepoNotFound")),
            (f"?did=did:plc:{'a' * 10_000}", (400, "InvalidRequest")),
        ],
    )
    def test_others(self, relay: Relay, query: str, expected: tuple[int, str]) -> None:
        status, body = relay.get(STATUS + query)
        assert (status, body["error"]) == expected


class TestAdmin:
    @pytest.mark.parametrize("path", ["/admin/", "/admin/nothing", "/admin/hosts/other.test/rejects"])
    @pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer guess"}, {"authorization": f"Basic {TOKEN}"}])
    def test_strangers_learn_nothing(self, relay: Relay, path: str, headers: dict[str, str]) -> None:
        status, answered, body = ask(relay, path, headers=headers)
        assert (status, json.loads(body)["error"]) == (401, "AuthenticationRequired")
        assert answered["www-authenticate"] == 'Bearer realm="admin"'

    def test_the_operator_learns_what_is_not_there(self, relay: Relay) -> None:
        status, body = relay.get("/admin/nothing", headers=OPERATOR)
        assert (status, body["error"]) == (404, "NotFound")

    @pytest.mark.parametrize(
        "path", ["/admin/x/../hosts/{}/rejects", "/%61dmin/hosts/{}/rejects", "//admin/hosts/{}/rejects"]
    )
    def test_no_spelling_of_a_path_leads_around_the_door(self, relay: Relay, host: str, path: str) -> None:
        status, _, body = ask(relay, path.format(host))
        assert status in (401, 404)
        assert "reasons" not in json.loads(body)


def test_head_and_questions_of_browsers(relay: Relay, host: str) -> None:
    for path in (f"/hosts/{host}/rejects", f"/admin/hosts/{host}/rejects"):
        status, headers, body = ask(relay, path, method="HEAD", headers=OPERATOR)
        assert (status, body, headers["cache-control"]) == (200, b"", "no-store")
        status, headers, body = ask(
            relay, path, method="OPTIONS", headers={"access-control-request-headers": "authorization"}
        )
        assert (status, body, headers["access-control-allow-origin"]) == (204, b"", "*")
        assert headers["access-control-allow-headers"] == "authorization"
        status, headers, body = ask(relay, path, method="POST", headers=OPERATOR)
        assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_they_are_listed(relay: Relay) -> None:
    found: Any = relay.get("/")[1]["endpoints"]
    assert {"/hosts/{host}/rejects", "/admin/hosts/{host}/rejects", STATUS} <= set(found)
