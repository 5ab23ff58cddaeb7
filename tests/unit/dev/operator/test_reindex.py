"""The command `edgerelay reindex`, against a server that answers as a relay does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest

from edgerelay_dev.cli import main

TOKEN = "a secret"
HOURS = {"after=0": 497_100, "after=497100": 497_110, "after=497110": 0}

Printed = pytest.CaptureFixture[str]


class Relay(BaseHTTPRequestHandler):
    asked: list[str]

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        self.asked.append(url.query)
        is_allowed = url.path == "/admin/reindex" and self.headers["authorization"] == f"Bearer {TOKEN}"
        self.send_response(200 if is_allowed else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"hour": HOURS[url.query]} if is_allowed else {"error": "no"}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def relay() -> Iterator[str]:
    Relay.asked = []
    with HTTPServer(("127.0.0.1", 0), Relay) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_it_asks_until_all_hours_are_done(relay: str, monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    monkeypatch.setenv("ADMIN_TOKEN", TOKEN)
    assert main(["reindex", relay]) == 0
    assert Relay.asked == list(HOURS)
    assert capsys.readouterr().err.splitlines() == ["done up to 2026-09-16 12:00", "done up to 2026-09-16 22:00"]


@pytest.mark.parametrize(("token", "problem"), [("", "ADMIN_TOKEN is not set"), ("wrong", "401")])
def test_without_the_right_token_it_says_so(
    relay: str, monkeypatch: pytest.MonkeyPatch, capsys: Printed, token: str, problem: str
) -> None:
    monkeypatch.setenv("ADMIN_TOKEN", token)
    assert main(["reindex", relay]) == 1
    assert problem in capsys.readouterr().err


def test_a_relay_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    monkeypatch.setenv("ADMIN_TOKEN", TOKEN)
    assert main(["reindex", "http://127.0.0.1:1"]) == 1
    assert "edgerelay reindex: " in capsys.readouterr().err
