"""Lookups through the real thing: RelayState asks the resolver, which is another invocation, which asks the network."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from edgerelay.atproto.identity import Absence
from edgerelay.atproto.lookup import Answer, Question, StatusQuestion
from edgerelay.runtime.fetcher import ACCEPT, USER_AGENT
from edgerelay.runtime.resolver import MAX_CONCURRENT
from edgerelay.runtime.resolver_wire import decode_answers, encode_questions
from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.background import NetworkThread
from edgerelay_dev.network.server import HttpServer, Request, Response, json_response
from tests.e2e.relays import Relay
from tests.lookups import arrange, essence


@pytest.fixture(scope="module")
def network() -> Iterator[NetworkThread]:
    with NetworkThread(SimulatedNetwork(seed="lookups", accounts=0)) as background:
        yield background


@pytest.fixture(scope="module")
def relay(network: NetworkThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """A relay that subscribes to nothing and knows the directory."""
    settings = {"PLC_URL": network.call(lambda simulated: simulated.plc_url)}
    with Relay(tmp_path_factory.mktemp("state"), settings) as running:
        yield running


def ask(relay: Relay, questions: Sequence[Question]) -> list[Answer]:
    return decode_answers(relay.rehearse("resolve", encode_questions(questions)), len(questions))


def test_whatever_the_network_does_there_is_the_right_answer(network: NetworkThread, relay: Relay) -> None:
    cases = network.call(arrange)
    answers = ask(relay, [each.question for each in cases])
    found = {case.name: essence(answer) for case, answer in zip(cases, answers, strict=True)}
    assert found == {case.name: case.answer for case in cases}


def test_a_request_says_who_asks_and_wants_nothing_old(network: NetworkThread, relay: Relay) -> None:
    requests: list[Request] = []

    async def answer(request: Request) -> Response:
        requests.append(request)
        # Whoever kept this answer would give it again.
        return json_response({"error": "RepoNotFound"}, 404, **{"Cache-Control": "max-age=3600", "Set-Cookie": "a=b"})

    url = network.wait_for(network.network.listen(HttpServer(answer, lambda: None)))
    for _ in range(2):
        assert ask(relay, [StatusQuestion("did:plc:a", url)]) == [Absence.NOT_FOUND]
    assert [each.method for each in requests] == ["GET", "GET"]
    assert {(each.headers["user-agent"], each.headers["accept"]) for each in requests} == {(USER_AGENT, ACCEPT)}
    assert {each.headers["cache-control"] for each in requests} == {"no-cache"}
    assert not [each for each in requests if "cookie" in each.headers]


def test_batches_do_not_wait_for_each_other(network: NetworkThread, relay: Relay) -> None:
    """Nobody is answered until each of some batches waits for as much as it may: none takes from another's share."""
    batches = 6
    pending, most = 0, 0
    all_wait = asyncio.Event()

    async def answer(_: Request) -> Response:
        nonlocal pending, most
        pending += 1
        most = max(most, pending)
        if pending == batches * MAX_CONCURRENT:
            all_wait.set()
        await all_wait.wait()
        pending -= 1
        return json_response({"error": "RepoNotFound"}, 404)

    url = network.wait_for(network.network.listen(HttpServer(answer, lambda: None)))
    questions = [[StatusQuestion(f"did:plc:{batch}.{number}", url) for number in range(8)] for batch in range(batches)]
    with ThreadPoolExecutor(batches) as threads:
        for answers in threads.map(lambda asked: ask(relay, asked), questions):
            assert answers == [Absence.NOT_FOUND] * 8
    assert most == batches * MAX_CONCURRENT
