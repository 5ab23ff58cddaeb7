"""`edgerelay run`: its arguments, and the line that it prints each second."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from edgerelay_dev.offline.run import add_arguments, report_line


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


def state(frames: int, events: int, *clients: int) -> dict[str, Any]:
    return {
        "upstream": {"state": "live", "frames": frames, "lag_us": 1_250_000},
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
    assert line.split() == ["live", "in", "42", "out", "40", "lag", "1.250", "s", "clients", "7"]


def test_the_first_line_claims_no_events() -> None:
    line = report_line({}, state(100, 90))
    assert line.split()[:5] == ["live", "in", "0", "out", "0"]
