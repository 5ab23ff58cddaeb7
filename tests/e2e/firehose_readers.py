"""Three readers of a firehose, none of which is ours, and what they make of its frames.

Each takes any host that serves com.atproto.sync.subscribeRepos, the PDS itself or a relay: `FrameReader` keeps the
frames as they are, `PythonReader` is the PyPI package atproto, and `SyncReader` is npm's @atproto/sync, which checks
signatures.
"""

from __future__ import annotations

import base64
import hashlib
import io
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self

import cbor2
from atproto import CAR, FirehoseSubscribeReposClient, models, parse_subscribe_repos_message
from atproto_subscription import MessageFrame
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.e2e.reference_pds import Json, NodeProcess

__all__ = ["Event", "Frame", "FrameReader", "PythonReader", "Reader", "SyncReader"]

Event = tuple[object, ...]
"""What a frame says, in the form that every reader can give it: kind, seq, DID, time, then what the kind has."""

NSID = "com.atproto.sync.subscribeRepos"
CID_TAG = 42
FRAME_LIMIT_BYTES = 5_000_000
"""The protocol has no larger frames."""
STOP_LIMIT_S = 10.0


class Frame(NamedTuple):
    """One message of a firehose, decoded without our own code."""

    raw: bytes
    header: Json
    body: Json

    @classmethod
    def decode(cls, raw: bytes) -> Frame:
        stream = io.BytesIO(raw)
        decoder = cbor2.CBORDecoder(stream)
        header, body = decoder.decode(), decoder.decode()
        assert stream.tell() == len(raw), "bytes after the body of a frame"
        return cls(raw, header, body)

    @property
    def kind(self) -> str:
        kind: str = self.header["t"]
        return kind

    @property
    def seq(self) -> int:
        seq: int = self.body["seq"]
        return seq

    @property
    def did(self) -> str:
        did: str = self.body["repo"] if self.kind == "#commit" else self.body["did"]
        return did

    @property
    def paths(self) -> list[str]:
        return [operation["path"] for operation in self.body.get("ops", ())]

    def renumbered(self, seq: int) -> Frame:
        """Return this frame with another sequence number and nothing else changed."""
        body = {**self.body, "seq": seq}
        return Frame(cbor2.dumps(self.header, canonical=True) + cbor2.dumps(body, canonical=True), self.header, body)

    @property
    def commit(self) -> tuple[str, str | None]:
        """The rev and the CID of the commit that a #commit announces."""
        return self.body["rev"], cid_text(self.body["commit"])

    @property
    def label(self) -> str:
        """The kind, with what tells the frame from others of its kind."""
        match self.kind:
            case "#account":
                return f"#account {self.body.get('status', 'active')}"
            case "#identity":
                return f"#identity {self.body.get('handle', '')}".rstrip()
        return self.kind

    @property
    def outline(self) -> str:
        """The frame in one short line, for comparing long recordings."""
        return f"{self.label} {self.did} {self.body.get('rev', '')}".rstrip()

    def differences(self, other: Frame) -> list[str]:
        """Return the names of the fields in which two frames differ, or that only their encodings do."""
        parts = ((self.header, other.header), (self.body, other.body))
        names = [name for one, two in parts for name in one.keys() | two.keys() if one.get(name) != two.get(name)]
        return names or ["encoding"] * (self.raw != other.raw)

    def event(self) -> Event:
        """Return what the frame says."""
        body = self.body
        rest: Event
        match self.kind:
            case "#commit":
                operations = tuple((op["action"], op["path"], cid_text(op["cid"])) for op in body["ops"])
                rest = (*self.commit, body["since"], operations, digest(body["blocks"]))
            case "#sync":
                rest = (body["rev"], digest(body["blocks"]))
            case "#identity":
                rest = (body.get("handle"),)
            case "#account":
                rest = (body["active"], body.get("status"))
            case _:
                raise AssertionError(f"a {self.kind} from the firehose")
        return (self.kind, self.seq, self.did, body["time"], *rest)

    def sync_events(self) -> list[Json]:
        """Return what @atproto/sync makes of the frame: a commit is one event for each of its operations."""
        body, start = self.body, {"seq": self.seq, "time": self.body["time"], "did": self.did}
        match self.kind:
            case "#commit":
                return [self._sync_event(operation) for operation in body["ops"]]
            case "#sync":
                root = str(CAR.from_bytes(body["blocks"]).root)
                return [{"event": "sync", **start, "rev": body["rev"], "cid": root}]
            case "#identity":
                return [{"event": "identity", **start}]
            case "#account":
                status = {"status": body["status"]} if "status" in body else {}
                return [{"event": "account", **start, "active": body["active"], **status}]
        raise AssertionError(f"a {self.kind} from the firehose")

    def _sync_event(self, operation: Json) -> Json:
        body = self.body
        collection, rkey = operation["path"].split("/")
        event = {"event": operation["action"], "seq": self.seq, "time": body["time"], "did": self.did}
        event |= {"rev": body["rev"], "collection": collection, "rkey": rkey}
        cid = cid_text(operation["cid"])
        return event if cid is None else {**event, "cid": cid}


def cid_text(link: cbor2.CBORTag | None) -> str | None:
    """Return the text form of a CID link of DAG-CBOR: a tag on a zero byte and the CID."""
    if link is None:
        return None
    assert (link.tag, link.value[0]) == (CID_TAG, 0)
    return "b" + base64.b32encode(link.value[1:]).decode().rstrip("=").lower()


def digest(blocks: bytes) -> str:
    """Return what stands for `blocks` in an event, so that a difference can be read."""
    return hashlib.sha256(blocks).hexdigest()


class Reader:
    """Something that follows a firehose in a thread of its own, from a cursor on.

    A context manager, whose end stops it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paths: set[str] = set()
        self._newest_seq = 0
        self._ended: str | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def wait_for(self, path: str, limit_s: float) -> None:
        """Return when an operation on `path` has been read."""
        self._wait_until(lambda: path in self._paths, path, limit_s)

    def wait_for_seq(self, seq: int, limit_s: float) -> None:
        """Return when the event of this number, or a later one, has been read."""
        self._wait_until(lambda: self._newest_seq >= seq, f"number {seq}", limit_s)

    def _wait_until(self, is_there: Callable[[], bool], what: str, limit_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: is_there() or self._ended is not None, limit_s)
            if not is_there():
                state = self._ended or f"it reads on, {len(self._paths)} paths so far"
                raise AssertionError(f"{type(self).__name__} did not see {what} within {limit_s} s: {state}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()
        self._thread.join(STOP_LIMIT_S)
        assert not self._thread.is_alive(), f"{type(self).__name__} does not stop"

    def _follow(self) -> None:
        try:
            reason = self._read()
        except Exception as error:  # noqa: BLE001  whatever ends the thread belongs into the failure of the test
            reason = repr(error)
        with self._changed:
            self._ended = reason
            self._changed.notify_all()

    def _saw(self, seq: int, paths: list[str]) -> None:
        with self._changed:
            self._paths.update(paths)
            self._newest_seq = max(self._newest_seq, seq)
            self._changed.notify_all()

    def _read(self) -> str:
        """Read until the end, report what was read to `_saw`, and return why it ended."""
        raise NotImplementedError

    def _close(self) -> None:
        """Make `_read` return."""
        raise NotImplementedError


class FrameReader(Reader):
    """Keeps every frame as it came.

    Attributes:
        frames: what was read so far.
    """

    def __init__(self, service: str, cursor: int) -> None:
        super().__init__()
        self.frames: list[Frame] = []
        url = f"{service}/xrpc/{NSID}?cursor={cursor}"
        self._open = ExitStack()
        self._socket = self._open.enter_context(connect(url, max_size=FRAME_LIMIT_BYTES, compression=None))
        self._thread.start()

    def wait_for_frames(self, count: int, limit_s: float) -> None:
        """Return when so many frames have been read."""
        self._wait_until(lambda: len(self.frames) >= count, f"{count} frames", limit_s)

    def _read(self) -> str:
        try:
            while True:
                message = self._socket.recv()
                assert isinstance(message, bytes), f"a text frame: {message!r}"
                frame = Frame.decode(message)
                self.frames.append(frame)
                self._saw(frame.seq, frame.paths)
        except ConnectionClosed as closed:
            return str(closed)

    def _close(self) -> None:
        self._open.close()


class PythonReader(Reader):
    """The PyPI package atproto.

    Attributes:
        events: what it delivered so far.
        errors: what it raised.
    """

    def __init__(self, service: str, cursor: int) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.errors: list[str] = []
        parameters = models.ComAtprotoSyncSubscribeRepos.Params(cursor=cursor)
        self._client = FirehoseSubscribeReposClient(parameters, base_uri=f"{service}/xrpc")
        self._thread.start()

    def _read(self) -> str:
        self._client.start(self._receive, lambda error: self.errors.append(repr(error)))
        return "the client ended"

    def _receive(self, message: MessageFrame) -> None:
        parsed = parse_subscribe_repos_message(message)
        match parsed:
            case models.ComAtprotoSyncSubscribeRepos.Commit():
                operations = tuple((op.action, op.path, op.cid and str(op.cid)) for op in parsed.ops)
                rest: Event = (parsed.rev, str(parsed.commit), parsed.since, operations, digest(parsed.blocks))
                did = parsed.repo
                blocks = CAR.from_bytes(parsed.blocks).blocks
                assert all(str(cid) in map(str, blocks) for _, _, cid in operations if cid), "a record is missing"
            case models.ComAtprotoSyncSubscribeRepos.Sync():
                rest, did = (parsed.rev, digest(parsed.blocks)), parsed.did
            case models.ComAtprotoSyncSubscribeRepos.Identity():
                rest, did = (parsed.handle,), parsed.did
            case models.ComAtprotoSyncSubscribeRepos.Account():
                rest, did = (parsed.active, parsed.status), parsed.did
            case _:
                raise AssertionError(f"the client delivered {parsed!r}")
        self.events.append((message.type, parsed.seq, did, parsed.time, *rest))
        self._saw(parsed.seq, [op.path for op in getattr(parsed, "ops", [])])

    def _close(self) -> None:
        self._client.stop()


class SyncReader(Reader):
    """npm's @atproto/sync, which checks signatures and proofs, and delivers a commit operation by operation.

    Attributes:
        events: what it delivered so far, in the form of `Frame.sync_events`.
        errors: what it refused: the reason and the sequence number.
    """

    def __init__(self, service: str, cursor: int, plc_url: str, folder: Path) -> None:
        super().__init__()
        self.events: list[Json] = []
        self.errors: list[Json] = []
        self._process = NodeProcess("sync_reader.mjs", service, plc_url, str(cursor), folder=folder)
        self._thread.start()

    def _read(self) -> str:
        while (line := self._process.read()) is not None:
            if "error" in line:
                self.errors.append(line)
                paths = []
            else:
                self.events.append(line)
                paths = [f"{line['collection']}/{line['rkey']}"] if "rkey" in line else []
            self._saw(line.get("seq", 0), paths)
        return f"the process ended: {self._process.errors()}"

    def _close(self) -> None:
        self._process.stop()
