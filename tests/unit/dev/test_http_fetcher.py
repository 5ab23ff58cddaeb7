"""The port to the web with aiohttp, against the simulated network."""

from __future__ import annotations

from edgerelay.runtime.fetcher import ACCEPT, MAX_BODY_BYTES, USER_AGENT
from edgerelay.runtime.resolver import Resolver
from edgerelay_dev.http_fetcher import HttpFetcher
from edgerelay_dev.network import SimulatedNetwork
from edgerelay_dev.network.server import HttpServer, Request, Response
from tests.lookups import arrange, essence


async def test_whatever_the_network_does_there_is_the_right_answer() -> None:
    async with SimulatedNetwork(seed="lookups", accounts=0) as network, HttpFetcher() as fetcher:
        cases = arrange(network)
        answers = await Resolver(fetcher, network.plc_url, allow_local=True).resolve([each.question for each in cases])
        found = {case.name: essence(answer) for case, answer in zip(cases, answers, strict=True)}
    assert found == {case.name: case.answer for case in cases}


async def test_a_request_says_who_asks_and_brings_nothing_back() -> None:
    requests: list[Request] = []

    async def answer(request: Request) -> Response:
        requests.append(request)
        return Response(302, b"elsewhere", {"Set-Cookie": "a=b", "Location": "/other", "Retry-After": "5"})

    async with SimulatedNetwork(seed="lookups", hosts=0) as network, HttpFetcher() as fetcher:
        url = await network.listen(HttpServer(answer, lambda: None))
        assert [await fetcher.fetch(f"{url}/{number}") for number in range(2)] == [(302, b"elsewhere", 5, "")] * 2
    assert [(each.method, each.path) for each in requests] == [("GET", "/0"), ("GET", "/1")]
    assert {(each.headers["user-agent"], each.headers["accept"]) for each in requests} == {(USER_AGENT, ACCEPT)}
    assert not [each for each in requests if "cookie" in each.headers]


async def test_more_is_read_if_it_is_wanted_and_its_type_is_told() -> None:
    async def answer(_: Request) -> Response:
        return Response(200, bytes(MAX_BODY_BYTES * 2), {"Content-Type": "image/png"})

    async with SimulatedNetwork(seed="lookups", hosts=0) as network, HttpFetcher() as fetcher:
        url = await network.listen(HttpServer(answer, lambda: None))
        for max_bytes in (7, MAX_BODY_BYTES * 2, MAX_BODY_BYTES * 3):
            fetched = await fetcher.fetch(url, max_bytes=max_bytes, accept="*/*")
            assert (len(fetched.body), fetched.content_type) == (min(max_bytes, MAX_BODY_BYTES * 2), "image/png")
