"""Prints the events of Jetstream, as the examples do, with the package atproto_jetstream, which needs Python 3.14.

usage: python atproto_jetstream_reader.py URL [SINCE [FILTER ...]], with the package in python_modules beside this file:
another of its name comes with the package atproto. It leaves it to its caller to connect again.
"""

import asyncio
import sys
from datetime import datetime
from pathlib import Path

from aiohttp import ClientError

sys.path.insert(0, str(Path(__file__).with_name("python_modules")))

from atproto_jetstream import Jetstream, JetstreamCommitEvent, JetstreamOptions  # not that of atproto

PAUSE_S = 1.0


async def main(url: str, since: str = "now", *filters: str) -> None:
    cursor = None if since == "now" else int(datetime.fromisoformat(since).timestamp() * 1_000_000)
    last = 0
    while True:
        options = JetstreamOptions(
            endpoint=f"{url}/subscribe",
            wanted_collections=[each for each in filters if not each.startswith("did:")],
            wanted_dids=[each for each in filters if each.startswith("did:")],
            cursor=last or cursor,
            compress=True,
        )
        try:
            async with Jetstream(options) as jetstream:
                async for event in jetstream:
                    if event.time_us > last:
                        last = event.time_us
                        commit = event.commit if isinstance(event, JetstreamCommitEvent) else None
                        operation = [commit.operation, f"{commit.collection}/{commit.rkey}"] if commit else []
                        print(last, event.kind, event.did, *operation)
        except (ClientError, OSError) as error:
            print(error, file=sys.stderr)
        await asyncio.sleep(PAUSE_S)


asyncio.run(main(*sys.argv[1:]))
