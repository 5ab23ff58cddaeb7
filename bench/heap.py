"""What an isolate holds in memory, asked over the inspector protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple
from urllib.request import urlopen

from websockets.sync.client import ClientConnection, connect

__all__ = ["Heap", "measure_heap", "measure_use"]

LIMIT_S = 60.0
BUFFER = "system / JSArrayBufferData"
"""How V8 names the bytes of an ArrayBuffer in a heap snapshot, those of a WebAssembly memory included."""


class Heap(NamedTuple):
    """Bytes in use after a collection."""

    javascript: int
    wasm: int
    """The memory of Python: the largest buffer of all."""

    buffers: int
    """All other ArrayBuffers."""

    @property
    def total(self) -> int:
        """What counts against the 128 MB of an isolate."""
        return self.javascript + self.wasm + self.buffers


def measure_heap(inspector_port: int) -> Heap:
    """Measure the isolate behind an inspector."""
    with _inspector(inspector_port) as inspector:
        sizes = sorted(inspector.buffer_sizes())
        used = inspector.call("Runtime.getHeapUsage")["result"]["usedSize"]
    return Heap(used, sizes[-1], sum(sizes[:-1]))


def measure_use(inspector_port: int) -> int:
    """Bytes that JavaScript and its buffers take after a collection, without Python's memory.

    A snapshot, which tells that as well, does not end within minutes after a thousand sockets.
    """
    with _inspector(inspector_port) as inspector:
        inspector.call("HeapProfiler.collectGarbage")
        usage = inspector.call("Runtime.getHeapUsage")["result"]
        return int(usage["usedSize"] + usage["backingStorageSize"])


@contextmanager
def _inspector(port: int) -> Iterator[_Inspector]:
    with urlopen(f"http://127.0.0.1:{port}/json", timeout=LIMIT_S) as response:
        url = json.load(response)[0]["webSocketDebuggerUrl"]
    # wrangler refuses whoever names a browser but no origin.
    with connect(url, max_size=None, user_agent_header=None) as socket:
        yield _Inspector(socket)


class _Inspector:
    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = count(1)
        self._chunks: list[str] = []

    def call(self, method: str, **parameters: object) -> Any:
        """Call a method; keeps the parts of a snapshot that come before its answer."""
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(LIMIT_S))
            if message.get("id") == number:
                return message
            if message.get("method") == "HeapProfiler.addHeapSnapshotChunk":
                self._chunks.append(message["params"]["chunk"])

    def buffer_sizes(self) -> list[int]:
        """Collect garbage, and return the sizes of all buffers that are left."""
        self.call("HeapProfiler.enable")
        self.call("HeapProfiler.takeHeapSnapshot", reportProgress=False)
        snapshot = json.loads("".join(self._chunks))
        fields: list[str] = snapshot["snapshot"]["meta"]["node_fields"]
        nodes, wide = snapshot["nodes"], len(fields)
        names, sizes = nodes[fields.index("name") :: wide], nodes[fields.index("self_size") :: wide]
        buffer = snapshot["strings"].index(BUFFER)
        return [size for name, size in zip(names, sizes, strict=True) if name == buffer]
