"""Make the index of a relay's archive anew, from what lies in its bucket.

The relay does the work, some hours at a time; it does the same by itself within a day. ADMIN_TOKEN is the operator's
token, from the environment.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from edgerelay_dev.operator.progress import tell

__all__ = ["add_arguments", "run"]

ANSWER_LIMIT_S: Final = 300.0
"""For one call, which may go through ten hours of the whole network."""

_HOUR_S: Final = 3_600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("relay", help="its URL, such as https://relay.example")


def run(options: argparse.Namespace) -> int:
    """Ask until all hours are done."""
    token = os.environ.get("ADMIN_TOKEN", "")
    if not token:
        tell("edgerelay reindex: ADMIN_TOKEN is not set")
        return 1
    try:
        for hour in _parts(options.relay, token):
            tell(f"done up to {datetime.fromtimestamp(hour * _HOUR_S, UTC):%Y-%m-%d %H:00}")
    except HTTPError as refusal:
        tell(f"edgerelay reindex: {refusal.code} {refusal.read().decode(errors='replace')[:500]}")
        return 1
    except (URLError, OSError, ValueError) as error:
        tell(f"edgerelay reindex: {error}")
        return 1
    print("the index is what the bucket holds", file=sys.stdout)
    return 0


def _parts(relay: str, token: str) -> Iterator[int]:
    """The last hour of each part that is done."""
    hour = 0
    while True:
        url = f"{relay.rstrip('/')}/admin/reindex?after={hour}"
        request = Request(url, data=b"", method="POST", headers={"authorization": f"Bearer {token}"})
        with urlopen(request, timeout=ANSWER_LIMIT_S) as answer:
            hour = int(json.loads(answer.read())["hour"])
        if hour == 0:
            return
        yield hour
