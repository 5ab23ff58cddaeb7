"""The command refuses what it cannot watch, and says why."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from edgerelay_dev.probe.run import add_arguments, run


def probe(url: str, out: Path) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args([url, "--minutes", "0.01", "--out", str(out)]))


class Stranger(BaseHTTPRequestHandler):
    """Answers everything with a page, and not with what a relay would say."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<h1>It works!</h1>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def stranger() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_something_else_is_no_relay(stranger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe(stranger, tmp_path / "report.json") == 1
    assert f"{stranger} is not EdgeRelay: GET / answered 200 '<h1>It works!</h1>'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_host_that_does_not_answer_is_named(
    unused_tcp_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    assert probe(url, tmp_path / "report.json") == 1
    assert f"edgerelay probe: {url} does not answer: " in capsys.readouterr().err


@pytest.mark.parametrize("url", ["relay.example", "wss://relay.example", ""])
def test_an_address_without_http_is_refused(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe(url, tmp_path / "report.json") == 1
    assert "is not a URL like https://host" in capsys.readouterr().err
