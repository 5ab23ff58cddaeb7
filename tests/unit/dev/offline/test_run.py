"""`edgerelay run`: its arguments, and the line that it prints each second."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from edgerelay_dev.offline.run import add_arguments, environment_of, report_line


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


def state(frames: int, events: int, *clients: int) -> dict[str, Any]:
    return {
        "upstream": {"state": "live", "frames": frames, "lag_us": 1_250_000, "rejects": {"bad_car": frames // 50}},
        "events": events,
        "shards": [{"clients": each} for each in clients],
    }


def test_without_arguments_it_is_the_simulated_network() -> None:
    options = parse()
    assert options.upstream is None
    assert options.plc_url is None
    assert (options.verify, options.upstream_kind, options.state_dir) == ("strict", "auto", Path(".state"))


def test_an_unknown_way_to_verify_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--verify", "never")
    assert "never" in capsys.readouterr().err


def test_a_line_tells_what_happened_since_the_last() -> None:
    line = report_line(state(100, 90), state(142, 130, 3, 4))
    assert line.split() == ["live", "in", "42", "out", "40", "refused", "0", "lag", "1.250", "s", "clients", "7"]


def test_the_first_line_claims_no_events() -> None:
    line = report_line({}, state(100, 90))
    assert line.split()[:7] == ["live", "in", "0", "out", "0", "refused", "0"]


def test_a_line_counts_what_was_refused() -> None:
    assert "refused    2" in report_line(state(100, 90), state(200, 180))


@pytest.mark.parametrize(
    ("upstream", "plc_url", "environment"),
    [
        ("wss://relay.example.com", None, "production"),
        ("wss://relay.example.com", "https://plc.example.com", "production"),
        ("wss://relay.example.com", "http://localhost:2582", "develop"),
        ("ws://localhost:2583", None, "develop"),
    ],
)
def test_a_public_host_is_read_as_in_production(upstream: str, plc_url: str | None, environment: str) -> None:
    """A relay of the public network does not ask private addresses, whoever names them."""
    settings = {"UPSTREAM": upstream} | ({} if plc_url is None else {"PLC_URL": plc_url})
    assert environment_of(settings) == environment
