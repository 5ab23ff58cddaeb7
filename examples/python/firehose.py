"""Prints the events of the firehose, each once, whatever happens to the connection. Needs websockets and cbor2.

    python firehose.py ws://127.0.0.1:8787 [SINCE]

SINCE is a time to begin at, such as 2026-11-27T12:00:00Z; without it the stream begins now.
"""

import io
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import cbor2
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

MAX_FRAME_BYTES = 5_000_000
PAUSE_S = 1.0


def events(url: str, cursor: int | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the kind and the body of each event, for ever."""
    last = 0  # store it with what you make of the events, and begin there after a restart
    while True:
        query = f"?cursor={cursor}" if cursor else ""
        try:
            with connect(f"{url}/xrpc/com.atproto.sync.subscribeRepos{query}", max_size=MAX_FRAME_BYTES) as socket:
                for message in socket:
                    assert isinstance(message, bytes)
                    frame = io.BytesIO(message)
                    header, body = cbor2.load(frame), cbor2.load(frame)
                    if header["op"] == -1 or header["t"] == "#info":
                        print(body, file=sys.stderr)
                    elif body["seq"] > last:  # the event of the cursor itself comes again
                        cursor = last = body["seq"]
                        yield header["t"].removeprefix("#"), body
        except (OSError, WebSocketException) as error:
            print(error, file=sys.stderr)
        time.sleep(PAUSE_S)


def main(url: str, since: str | None = None) -> None:
    # A cursor of EdgeRelay is a time, in microseconds.
    cursor = int(datetime.fromisoformat(since).timestamp() * 1_000_000) if since else None
    for kind, body in events(url, cursor):
        operations = [f"{operation['action']} {operation['path']}" for operation in body.get("ops", ())]
        print(body["seq"], kind, body.get("repo") or body["did"], *operations)


main(*sys.argv[1:])
