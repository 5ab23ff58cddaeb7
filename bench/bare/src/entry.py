"""Bare loops: the most that a Python Durable Object receives and sends here, with nothing of the relay in the way.

    GET /receive?url=ws://…&frames=N&work=count|copy|decode    reads a stream, and says how long that took
    GET /subscribe                                             a WebSocket that `/send` writes to
    GET /send?messages=N&bytes=N                               writes to all of them, and says how long that took

The clock stands still while code runs, so durations are read after something was waited for.
"""

# ruff: noqa: N802, TID251 - this is code of the platform, which calls methods by its own names

import json
import os
from io import BytesIO

import js
from pyodide.ffi import create_proxy, to_js
from workers import DurableObject, Response, WorkerEntrypoint

RECEIVE_LIMIT_MS = 60_000
POLL_MS = 10
UNSENT_BYTES = 1_000_000
"""Bytes that wait in the first socket above which the sender lets the runtime write: all sockets get the same."""
SENDS_A_TURN = 4_000
"""Sends after which the runtime gets a chance to write."""


class Loops(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self._ctx = ctx
        self._sockets = []

    async def fetch(self, request):
        url = js.URL.new(request.url)
        match url.pathname:
            case "/subscribe":
                return self._subscribe()
            case "/receive":
                asked = url.searchParams
                answer = await receive(asked.get("url"), int(asked.get("frames")), asked.get("work"))
            case "/send":
                answer = await self._send(int(url.searchParams.get("messages")), int(url.searchParams.get("bytes")))
            case _:
                answer = {"sockets": len(self._sockets)}
        return Response(json.dumps(answer), headers={"content-type": "application/json"})

    def _subscribe(self):
        client, server = js.WebSocketPair.new().object_values()
        self._ctx.acceptWebSocket(server)
        self._sockets.append(server)
        return Response(None, status=101, web_socket=client)

    async def _send(self, messages, size_bytes):
        message = to_js(os.urandom(size_bytes))
        sends = [socket.send for socket in self._sockets]
        first = self._sockets[0]
        started_ms = js.performance.now()
        turn = max(1, SENDS_A_TURN // len(sends))
        for number in range(messages):
            for send in sends:
                send(message)
            if number % turn == 0:
                await js.scheduler.wait(0)
                while first.bufferedAmount > UNSENT_BYTES:
                    await js.scheduler.wait(1)
        while any(socket.bufferedAmount for socket in self._sockets):
            await js.scheduler.wait(1)
        return {"messages": messages * len(sends), "ms": js.performance.now() - started_ms}

    async def webSocketMessage(self, *_):
        pass

    async def webSocketClose(self, socket, *_):
        self._sockets = [each for each in self._sockets if each != socket]


async def receive(url, frames, work):
    receiver = Receiver(WORK[work])
    socket = js.WebSocket.new(url)
    socket.binaryType = "arraybuffer"
    listener = create_proxy(receiver.on_message)
    socket.addEventListener("message", listener)
    waited_ms = 0
    while receiver.frames < frames and waited_ms < RECEIVE_LIMIT_MS:
        await js.scheduler.wait(POLL_MS)
        waited_ms += POLL_MS
    answer = {"messages": receiver.frames, "ms": js.performance.now() - receiver.started_ms}
    socket.removeEventListener("message", listener)
    socket.close()
    listener.destroy()
    return answer


class Receiver:
    """Takes the messages of one socket, and does some work with each."""

    def __init__(self, work):
        self.frames = 0
        self.started_ms = 0
        self._work = work

    def on_message(self, event):
        if not self.frames:
            self.started_ms = js.performance.now()
        self.frames += 1
        self._work(event)


def count(event):
    pass


def copy(event):
    event.data.to_bytes()


def decode(event):
    # Needs entropy when it is first imported, which only a request has.
    from cbor2 import CBORDecoder

    decoder = CBORDecoder(BytesIO(event.data.to_bytes()))
    decoder.decode()
    decoder.decode()


WORK = {"count": count, "copy": copy, "decode": decode}


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.LOOPS.getByName("loops").fetch(request.js_object)
