"""Prints the events of the firehose, each once, with the package atproto, which reconnects by itself.

    python firehose_atproto.py ws://127.0.0.1:8787 [SINCE]

SINCE is a time to begin at, such as 2026-11-27T12:00:00Z; without it the stream begins now.
"""

import sys
from datetime import datetime

from atproto import FirehoseSubscribeReposClient, models, parse_subscribe_repos_message
from atproto_subscription import MessageFrame

SubscribeRepos = models.ComAtprotoSyncSubscribeRepos


def main(url: str, since: str | None = None) -> None:
    # A cursor of EdgeRelay is a time, in microseconds.
    cursor = int(datetime.fromisoformat(since).timestamp() * 1_000_000) if since else None
    client = FirehoseSubscribeReposClient(SubscribeRepos.Params(cursor=cursor), base_uri=f"{url}/xrpc")
    last = 0  # store it with what you make of the events, and begin there after a restart

    def receive(frame: MessageFrame) -> None:
        nonlocal last
        message = parse_subscribe_repos_message(frame)
        if isinstance(message, SubscribeRepos.Info):
            print(message.name, message.message, file=sys.stderr)
        elif message.seq > last:  # the event of the cursor itself comes again
            last = message.seq
            client.update_params(SubscribeRepos.Params(cursor=last))
            is_commit = isinstance(message, SubscribeRepos.Commit)
            operations = [f"{operation.action} {operation.path}" for operation in message.ops] if is_commit else []
            print(last, frame.type.removeprefix("#"), message.repo if is_commit else message.did, *operations)

    while True:
        client.start(receive)  # returns when the relay closes the connection, and begins again where it was


main(*sys.argv[1:])
