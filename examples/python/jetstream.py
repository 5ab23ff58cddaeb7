"""Prints the events of Jetstream, compressed on their way, each once, whatever happens to the connection.

    python jetstream.py ws://127.0.0.1:8787 DICTIONARY [SINCE [FILTER ...]]

DICTIONARY is the file of the dictionary that Jetstream compresses with. SINCE is a time to begin at, such as
2026-11-27T12:00:00Z, or now. Each FILTER is a collection, such as app.bsky.feed.post or app.bsky.graph.*, or an
account's DID; without any, everything comes. Needs websockets and zstandard.
"""

import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from zstandard import ZstdCompressionDict, ZstdDecompressor

MAX_MESSAGE_BYTES = 10_000_000
PAUSE_S = 1.0


def events(
    url: str, decompressor: ZstdDecompressor, cursor: int | None, filters: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Yield each event, for ever."""
    wanted = [("wantedDids" if each.startswith("did:") else "wantedCollections", each) for each in filters]
    last = 0  # store it with what you make of the events, and begin there after a restart
    while True:
        query = urlencode([("compress", "true"), *wanted, *([("cursor", cursor)] if cursor else [])])
        try:
            with connect(f"{url}/subscribe?{query}", max_size=MAX_MESSAGE_BYTES) as socket:
                for message in socket:
                    assert isinstance(message, bytes)
                    event = json.loads(decompressor.decompress(message, MAX_MESSAGE_BYTES))
                    if event["time_us"] > last:  # the event of the cursor itself comes again
                        cursor = last = event["time_us"]
                        yield event
        except (OSError, WebSocketException) as error:
            print(error, file=sys.stderr)
        time.sleep(PAUSE_S)


def main(url: str, dictionary: str, since: str = "now", *filters: str) -> None:
    decompressor = ZstdDecompressor(ZstdCompressionDict(Path(dictionary).read_bytes()))
    # A cursor is a time, in microseconds.
    cursor = None if since == "now" else int(datetime.fromisoformat(since).timestamp() * 1_000_000)
    for event in events(url, decompressor, cursor, filters):
        commit = event.get("commit")
        operation = [commit["operation"], f"{commit['collection']}/{commit['rkey']}"] if commit else []
        print(event["time_us"], event["kind"], event["did"], *operation)


main(*sys.argv[1:])
