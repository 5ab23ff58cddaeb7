"""Prints the events of Jetstream v2, each once, with the package atproto, which keeps the cursor and reconnects.

    python jetstream_atproto.py ws://127.0.0.1:8787 [SINCE [FILTER ...]]

SINCE is a time to begin at, such as 2026-11-27T12:00:00Z, or now. Each FILTER is a collection, such as
app.bsky.feed.post or app.bsky.graph.*, or an account's DID; without any, everything comes.
"""

import sys
from datetime import datetime

from atproto import JetstreamClient, models
from atproto_jetstream import SubscribeEventsMessage

SubscribeEvents = models.NetworkBskyJetstreamSubscribeEvents


def receive(event: SubscribeEventsMessage) -> None:
    if isinstance(event, SubscribeEvents.Info):
        print(event.name, event.message, file=sys.stderr)
        return
    is_commit = isinstance(event, SubscribeEvents.Commit)
    operation = [event.operation, f"{event.collection}/{event.rkey}"] if is_commit else []
    print(event.seq, event.py_type.partition("#")[2], event.did, *operation)


def main(url: str, since: str = "now", *filters: str) -> None:
    params = SubscribeEvents.Params(
        # A cursor of EdgeRelay is a time, in microseconds; store client.cursor to begin there after a restart.
        cursor=None if since == "now" else int(datetime.fromisoformat(since).timestamp() * 1_000_000),
        collections=[each for each in filters if not each.startswith("did:")],
        dids=[each for each in filters if each.startswith("did:")],
    )
    client = JetstreamClient(params, base_uri=f"{url}/xrpc")
    while True:
        client.start(receive)  # returns when the relay closes the connection, and begins again where it was


main(*sys.argv[1:])
