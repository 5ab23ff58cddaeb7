from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edgerelay_dev.network.reader import FrameReader, StreamClosed
from edgerelay_dev.network.websocket import Opcode, frame_header

UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nX-Name: value\r\n\r\n"


@contextmanager
def server_that_sends(*parts: bytes) -> Iterator[str]:
    """Answers one connection with the parts, one `send` each, and closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            for part in parts:
                connection.sendall(part)

    thread = threading.Thread(target=run)
    thread.start()
    yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
    thread.join()
    listener.close()


def message(payload: bytes, opcode: int = Opcode.BINARY) -> bytes:
    return frame_header(len(payload), opcode) + payload


def test_messages_of_all_sizes_in_any_pieces() -> None:
    payloads = [b"a", b"b" * 200, b"", b"c" * 70_000, b"d"]
    wire = UPGRADE + b"".join(message(payload) for payload in payloads)
    with server_that_sends(*(wire[at : at + 7] for at in range(0, len(wire), 7))) as url, FrameReader(url) as reader:
        assert list(reader) == payloads
        assert reader.headers == {"x-name": "value"}


def test_pings_are_passed_over_and_a_close_ends_the_stream() -> None:
    wire = UPGRADE + message(b"", Opcode.PING) + message(b"a") + message(b"\x03\xf0Name", Opcode.CLOSE)
    with server_that_sends(wire) as url, FrameReader(url) as reader:
        assert reader.read() == b"a"
        with pytest.raises(StreamClosed) as closed:
            reader.read()
    assert (closed.value.code, closed.value.reason) == (1008, "Name")


def test_lost_connection_has_no_code() -> None:
    wire = UPGRADE + message(b"a")[:-1]
    with server_that_sends(wire) as url, FrameReader(url) as reader, pytest.raises(StreamClosed) as closed:
        reader.read()
    assert closed.value.code is None


def test_answer_that_is_no_upgrade_is_raised() -> None:
    with server_that_sends(b"HTTP/1.1 503 Service Unavailable\r\n\r\n") as url, pytest.raises(StreamClosed) as closed:
        FrameReader(url)
    assert closed.value.code == 503


def test_silence_is_a_timeout() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with pytest.raises(TimeoutError):
        FrameReader(f"ws://127.0.0.1:{listener.getsockname()[1]}", timeout_s=0.05)
    listener.close()
