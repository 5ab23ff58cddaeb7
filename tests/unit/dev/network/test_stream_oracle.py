"""The oracle itself, against streams that real software emitted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zstandard

from edgerelay.atproto.dagcbor import decode_pair
from edgerelay_dev.network.malformed import Fate
from edgerelay_dev.network.recording import read_recording
from tests.unit.dev.network.stream_oracle import StreamOracle

LATE_US = 1_900_000_000_000_000
HOST = "https://host.test"


def judge(frames: list[bytes], document_of: Callable[[str], Mapping[str, Any] | None]) -> Counter[tuple[Fate, str]]:
    oracle = StreamOracle(document_of, HOST, lambda: LATE_US)
    return Counter(oracle.judge(frame) for frame in frames)


def at_host(multikey: str) -> dict[str, Any]:
    return {
        "service": [{"serviceEndpoint": HOST}],
        "verificationMethod": [{"publicKeyMultibase": multikey}],
    }


def test_every_commit_of_a_recorded_pds_is_kept(shared_data: Path) -> None:
    directory = json.loads((shared_data / "capture/plc.json").read_text())

    def document_of(did: str) -> Mapping[str, Any]:
        return at_host(directory[did]["data"]["verificationMethods"]["atproto"].removeprefix("did:key:"))

    assert judge(list(read_recording(shared_data / "capture/deep.bin")), document_of) == {(Fate.KEEP, ""): 300}


def test_every_frame_of_the_recorded_network_is_kept(shared_data: Path) -> None:
    folder = shared_data / "vectors/jetstream/internal/corpus/testdata"
    documents = json.loads(_unpack(folder / "did_docs.json.zst"))
    data, frames = _unpack(folder / "frames.bin.zst"), []
    while data:
        length = int.from_bytes(data[:4], "little")
        frames.append(data[4 : 4 + length])
        data = data[4 + length :]

    def document_of(did: str) -> Mapping[str, Any] | None:
        document = documents.get(did)
        return at_host(document["verificationMethod"][0]["publicKeyMultibase"]) if document else None

    assert judge(frames, document_of) == {(Fate.KEEP, ""): 149, (Fate.REJECT, "no identity"): 1}


def test_a_changed_byte_is_noticed(shared_data: Path) -> None:
    frame = next(read_recording(shared_data / "capture/deep.bin"))
    _, body = decode_pair(frame)
    assert isinstance(body, dict)
    directory = json.loads((shared_data / "capture/plc.json").read_text())
    key = directory[body["repo"]]["data"]["verificationMethods"]["atproto"].removeprefix("did:key:")
    for at in range(0, len(frame), 97):
        changed = bytes([*frame[:at], frame[at] ^ 1, *frame[at + 1 :]])
        (verdict,) = judge([changed], lambda _: at_host(key))
        # What is neither signed nor checked by a hash may change: numbers, times, the history of a lone commit.
        if verdict[0] is not Fate.REJECT:
            _, other = decode_pair(changed)
            assert isinstance(other, dict)
            assert {**other, "seq": 0, "time": "", "since": "", "repo": ""} == {
                **body, "seq": 0, "time": "", "since": "", "repo": ""
            }  # fmt: skip


def _unpack(path: Path) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
