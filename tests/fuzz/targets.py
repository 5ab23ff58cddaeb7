"""What is fuzzed: each target reads bytes of strangers, or what was stored, and says which errors may escape.

Whatever else is raised is a finding, and so is a result that contradicts itself. Nothing here knows the fuzzer: the
targets also run on their own seeds alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import cbor2

from edgerelay.api.jetstream import MAX_REASON_BYTES, Close
from edgerelay.api.jetstream import parse_message as parse_client_message
from edgerelay.api.message import Request, Response
from edgerelay.api.query import answer_query, find_query
from edgerelay.api.router import find_route, finish, preflight
from edgerelay.api.subscribe import STREAMS
from edgerelay.api.subscribe_events import answer_dictionary
from edgerelay.archive.batch import BatchError, decode_message
from edgerelay.archive.block import BlockError, SealedBlock
from edgerelay.archive.container import read_header
from edgerelay.archive.container_errors import ContainerError
from edgerelay.archive.firehose_block import open_batch
from edgerelay.archive.jetstream import RenderError, render
from edgerelay.atproto import syntax
from edgerelay.atproto.car import parse_car
from edgerelay.atproto.cid import cid_for_cbor, cid_from_text, cid_to_text
from edgerelay.atproto.commit import CommitError, parse_commit
from edgerelay.atproto.dagcbor import decode, encode
from edgerelay.atproto.frames import MAX_SEQ, Frame, FrameError, decode_frame, renumber
from edgerelay.atproto.hosting import HostingStatus, read_status
from edgerelay.atproto.identity import Absence, Identity, document_url, read_answer
from edgerelay.atproto.inversion import previous_root
from edgerelay.atproto.keys import key_from_did_key, key_from_legacy, key_from_multikey
from edgerelay.atproto.lookup import IdentityQuestion, LookupFailure, StatusQuestion
from edgerelay.atproto.messages import KINDS, Commit, MessageError, Sync, parse_info, parse_message, read_seq
from edgerelay.atproto.mst import TreeError, encode_node, parse_node
from edgerelay.atproto.origin import is_public_origin, normalize_origin, origin_of_host_url, same_origin
from edgerelay.atproto.record_json import RecordError, record_to_json
from edgerelay.atproto.tid import tid_to_us
from edgerelay.atproto.timestamp import http_date_us, time_us
from edgerelay.errors import WireError
from edgerelay.relay.verify import Refusal, examine
from edgerelay.runtime.resolver_wire import (
    ResolverWireError,
    decode_answers,
    decode_questions,
    encode_answers,
    encode_questions,
)
from edgerelay_dev.network.car import Block, read_car, write_car
from tests.fuzz import samples
from tests.fuzz.script import Script, edit_block, edit_value
from tests.oracle import frames as written
from tests.oracle import jetstream as lines_twin
from tests.oracle import mst as twin
from tests.packing import CODECS, container_of, firehose_blocks, open_container

__all__ = ["TARGETS", "Target", "attempt"]

_DID: Final = samples.DID


class Target(NamedTuple):
    """One entrance for bytes."""

    read: Callable[[bytes], object]
    declared: tuple[type[Exception], ...]
    """All that may escape."""

    seeds: Callable[[], Iterable[bytes]]
    """Where the search begins."""


def attempt(target: Target, data: bytes) -> bool:
    """Run a target once; tells whether the input was taken for right. Raises what is a finding."""
    try:
        target.read(data)
    except target.declared:
        return False
    return True


def _frame(data: bytes) -> None:
    with suppress(FrameError):
        # Whatever a lenient relay lets pass goes out in the one encoding.
        lenient = decode_frame(data, strict=False)
        assert not isinstance(lenient, Frame) or decode_frame(lenient.raw) == lenient
    frame = decode_frame(data)
    if isinstance(frame, Frame):
        _message(frame)


def _message(frame: Frame) -> None:
    parse_info(frame.body)
    seq = read_seq(frame.body)
    if frame.kind not in KINDS:
        return
    message = parse_message(frame.kind, frame.body)
    assert message.seq == seq
    again = decode_frame(renumber(frame, MAX_SEQ))
    assert isinstance(again, Frame)
    assert again.body == {**frame.body, "seq": MAX_SEQ}


def _dagcbor(data: bytes) -> None:
    assert encode(decode(data)) == data


def _car(data: bytes) -> None:
    """Either plain bytes, or a script that writes a CAR whose hashes are right but for its edits."""
    script = Script(data)
    if script.number(2):
        parse_car(script.rest())
        return
    root, blocks = read_car(samples.commit_car())
    for _ in range(script.number(4)):
        blocks.append(Block(cid_for_cbor(content := script.take(script.number(64))), content))
    written_car = bytearray(write_car(root, blocks))
    while script:
        at = script.number(len(written_car))
        written_car[at : at + script.number(3)] = script.take(script.number(3))
    car = parse_car(bytes(written_car))
    assert all(cid.endswith(cid_for_cbor(block)[4:]) for cid, block in car.blocks.items())


def _node(block: bytes) -> None:
    node = parse_node(block)
    assert encode_node(node.keys, node.values, node.links) == block


def _inversion(data: bytes) -> None:
    """From one tree over seven keys to another, with edits of nodes and operations; the slow twin has its say."""
    script = Script(data)
    before, after = (samples.records(script.number(128)) for _ in range(2))
    old, new = twin.build(before), twin.build(after)
    blocks = [Block(*item) for item in new.blocks.items()]
    ops = samples.operations(before, after)
    root = new.root
    while script:
        match script.number(5):
            case 0 if blocks:
                renamed = edit_block(script, blocks)
                root = renamed.get(root, root)
            case 1 if blocks:
                del blocks[script.number(len(blocks))]
            case 2 if ops:
                del ops[script.number(len(ops))]
            case 3 if ops:
                at = script.number(len(ops))
                value = script.choice((None, samples.value(b"k"), samples.value(b"l")))
                ops[at] = ops[at]._replace(cid=value) if script.number(2) else ops[at]._replace(prev=value)
            case _:
                ops.append(twin.Op(script.choice(samples.SEVEN).decode(), samples.value(b"k"), None))
    known = {block.cid: block.data for block in blocks}
    result = previous_root(known, root, ops)
    # The twin reads more, so that it may refuse what need not be looked at.
    with suppress(twin.RefusedError):
        assert twin.invert(known, root, ops) == result
    # Where a block is missing, an opaque link may be taken for the root: nodes without keys above it are not known.
    if (known, root, ops) == (new.blocks, new.root, samples.operations(before, after)):
        assert result == old.root


def _commit(block: bytes) -> None:
    commit = parse_commit(block)
    unsigned = decode(commit.signed_bytes)
    assert isinstance(unsigned, dict)
    assert {**unsigned, "sig": commit.signature} == decode(block)


_STATUSES: Final = (200, 404, 410, 400, 500)


def _identity(data: bytes) -> None:
    script = Script(data)
    answer = read_answer(_DID, script.choice(_STATUSES), script.rest())
    assert decode_answers(encode_answers([answer]), 1) == [answer]
    if isinstance(answer, Identity) and answer.pds is not None:
        assert normalize_origin(answer.pds) == answer.pds


def _hosting(data: bytes) -> None:
    script = Script(data)
    answer = read_status(_DID, script.choice(_STATUSES), script.rest())
    assert decode_answers(encode_answers([answer]), 1) == [answer]


def _keys(data: bytes) -> None:
    script = Script(data)
    kind = script.number(4)
    text = script.rest().decode("latin-1")
    legacy = ("EcdsaSecp256k1VerificationKey2019", "EcdsaSecp256r1VerificationKey2019")
    if kind in (2, 3):
        key = key_from_legacy(legacy[kind - 2], text)
    else:
        key = key_from_did_key(text) if kind else key_from_multikey(text)
    assert len(key.uncompressed()) == 65


def _resolver_wire(data: bytes) -> None:
    text = data.decode(errors="replace")
    with suppress(ResolverWireError):
        questions = decode_questions(text)
        assert decode_questions(encode_questions(questions)) == questions
    answers = decode_answers(text, 1)
    assert decode_answers(encode_answers(answers), 1) == answers


def _edited_event(script: Script) -> tuple[str, bytes]:
    """The kind and the frame of a real `#commit` or `#sync`, edited as whoever hosts the repository could."""
    body = script.choice(samples.events()).copy()
    container = body["blocks"]
    root, blocks = read_car(container)
    links = [block.cid for block in blocks]
    while script:
        match script.number(5):
            case 0:
                renamed = edit_block(script, blocks) if blocks else {}
                root = renamed.get(root, root)
                rest = {name: value for name, value in body.items() if name != "blocks"}
                for old, new in renamed.items() if script.number(8) else ():
                    rest = cbor2.loads(cbor2.dumps(rest).replace(old, new))
                body |= rest
            case 1 if body:
                body = edit_value(script, body, links)
            case 2 if blocks:
                del blocks[script.number(len(blocks))]
            case 3 if blocks:
                blocks.insert(script.number(len(blocks) + 1), script.choice(blocks))
            case _:
                blocks.append(Block(cid_for_cbor(content := script.take(script.number(64))), content))
    if body.get("blocks") is container:
        body["blocks"] = write_car(root, blocks)
    kind = "#commit" if "repo" in body else "#sync"
    return kind, written.frame(kind, body)


def _verify(data: bytes) -> None:
    kind, raw = _edited_event(Script(data))
    frame = decode_frame(raw)
    assert isinstance(frame, Frame)
    message = parse_message(kind, frame.body)
    assert isinstance(message, Commit | Sync)
    with suppress(Refusal):
        examine(message, lambda _: True)
    claim = examine(message, lambda _: False)
    assert claim.commit == parse_car(message.blocks).root
    if isinstance(message, Commit) and message.prev_data is not None:
        ops = [twin.Op(op.path, op.cid, op.prev) for op in message.ops]
        with suppress(twin.RefusedError):
            assert twin.invert(parse_car(message.blocks).blocks, claim.data, ops) == message.prev_data


def _record(block: bytes) -> None:
    text = record_to_json(block)
    assert text.decode() == lines_twin.record(cbor2.loads(block))
    assert isinstance(json.loads(text), dict)


def _jetstream(data: bytes) -> None:
    script = Script(data)
    raw = script.rest() if script.number(2) else _edited_event(script)[1]
    lines, skipped = render(raw)
    if not raw:
        assert not lines, "it was purged"
        return
    frame = decode_frame(raw)
    assert isinstance(frame, Frame)
    message = parse_message(frame.kind, frame.body)
    paths = [op.path for op in message.ops] if isinstance(message, Commit) else [""]
    numbers = [line.time_us - message.seq for line in lines]
    assert numbers == sorted(set(numbers).intersection(range(len(paths))))
    for number, line in zip(numbers, lines, strict=True):
        event = json.loads(line.json)
        assert b"\n" not in line.json
        assert (event["time_us"], event["did"], event["kind"]) == (line.time_us, line.did, line.kind)
        assert line.collection == paths[number].partition("/")[0] == event[line.kind].get("collection", "")
    if isinstance(message, Commit):
        left = [path for number, path in enumerate(paths) if number not in numbers]
        assert left == [each.path for each in skipped]


def _batch(message: bytes) -> None:
    batch = decode_message(message)
    assert batch.message() == message
    assert [seq for seq, _ in batch.split()] == list(batch.head.seqs)
    assert batch.head.index_of(batch.head.last_seq) == len(batch.head.seqs) - 1
    assert batch.head.last_width > 0


def _container(data: bytes) -> None:
    """Plain bytes, or a container with edits anywhere, or with edits of the footer and a checksum that is right."""
    script = Script(data)
    kind = script.number(3)
    written = bytearray(script.rest() if kind == 0 else container_of(firehose_blocks()))
    footer_at = len(written) - samples.FOOTER_BYTES if kind == 2 else 0
    while script:
        at = footer_at + script.number(max(1, len(written) - footer_at))
        written[at : at + script.number(9)] = script.take(script.number(9))
    container = samples.sealed_footer(written, footer_at) if kind == 2 else bytes(written)
    with suppress(ContainerError):
        read_header(container)
    index = open_container(container)
    blocks = [SealedBlock(each.facts, container[each.offset : each.range.end]) for each in index.blocks]
    for block in blocks:
        open_batch(block, CODECS)
    again = open_container(container_of(blocks, index.stream, index.generation))
    assert [each.facts for each in again.blocks] == [each.facts for each in index.blocks]
    assert index.blocks_from(index.last_seq) == index.blocks[-1:]


def _request(data: bytes) -> None:
    """`METHOD path?query`, then headers a line each, as the platform hands them over."""
    first, *lines = data.decode("latin-1").split("\n")
    method, _, target = first.partition(" ")
    path, _, query = target.partition("?")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value for name, _, value in pairs}
    request = Request(method, path, parse_qsl(query, keep_blank_values=True), headers, "request-1")
    answers = [*(parse(request) for parse in STREAMS.values()), preflight(request), answer_dictionary(request, bytes)]
    route = find_route(request)
    question = find_query(request, "token")
    if question is not None and not isinstance(question, Response):
        answers += [answer_query(request, question, {}), answer_query(request, question, {"found": query})]
    for answer in (*answers, route, question):
        if isinstance(answer, Response):
            finish(request, answer)
            assert 200 <= answer.status < 600
            is_json = "json" in answer.headers["content-type"] if answer.body else False
            assert not is_json or json.loads(answer.body)


def _options(data: bytes) -> None:
    """What a client of Jetstream says."""
    asked = parse_client_message(data.decode("latin-1"))
    if isinstance(asked, Close):
        assert len(asked.reason.encode()) <= MAX_REASON_BYTES


def _text(data: bytes) -> None:
    """Identifiers, times and origins: yes or no, whatever the text."""
    text = data.decode(errors="surrogateescape")
    for is_valid in samples.SYNTAXES:
        is_valid(text)
    time_us(text)
    http_date_us(text)
    origin = normalize_origin(text)
    assert origin is None or normalize_origin(origin) == origin
    assert not is_public_origin(text) or same_origin(text, text)
    same_origin(origin_of_host_url(text), text, allow_local=True)
    with suppress(WireError):
        assert cid_to_text(cid_from_text(text)) == text
    if syntax.is_did(text):
        document_url(text, "https://plc.directory", allow_localhost=True)
    else:
        assert tid_to_us(text) >= 0


_ANSWERS: Final = (
    Identity(_DID, key_from_multikey(samples.MULTIKEYS[1]), "https://pds.example.org", "a.example.org"),
    Absence.TOMBSTONED,
    HostingStatus(False, "takendown"),
    LookupFailure("no answer", True, False, 30),
)
_QUESTIONS: Final = (IdentityQuestion(_DID), StatusQuestion(_DID, "https://pds.example.org"))
_TEXTS: Final = (
    _DID,
    "did:web:localhost%3A80",
    "3jzfcijpj2z2a",
    "2026-11-23T08:00:00.123Z",
    "Mon, 23 Nov 2026 08:00:00 GMT",
    "https://pds.example.org:8443",
    "wss://[::1]:80",
    "at://a.example.org/app.bsky.feed.post/self",
    cid_to_text(samples.value(b"")),
)
_OPTIONS: Final = (
    json.dumps({"type": "options_update", "payload": {"wantedDids": [_DID], "wantedCollections": ["app.bsky.*"]}}),
    '{"type":"options_update","payload":{"maxMessageSizeBytes":1000}}',
    '{"type":"other"}',
)
_REQUESTS: Final = (
    "GET /subscribe?wantedCollections=app.bsky.feed.*&cursor=1\nupgrade:websocket",
    "GET /xrpc/com.atproto.sync.subscribeRepos?cursor=12\nupgrade:websocket",
    "GET /xrpc/network.bsky.jetstream.subscribeEvents?kinds=commit&zstdDictionary=1612007021\nupgrade:websocket",
    "GET /xrpc/network.bsky.jetstream.getZstdDictionary?id=1612007021",
    "GET /admin/hosts/pds.example.org/rejects\nauthorization:Bearer token",
    f"HEAD /xrpc/com.atproto.sync.getRepoStatus?did={_DID}",
    "OPTIONS /state\naccess-control-request-headers:x",
)

TARGETS: Final = {
    "frame": Target(_frame, (FrameError, MessageError), samples.frames_of_all_kinds),
    "dagcbor": Target(_dagcbor, (WireError,), lambda: [*samples.nodes(), encode({"a": [1, -(2**40), None, "é"]})]),
    "car": Target(_car, (WireError,), lambda: [b"\0", b"\0\1\4text", b"\1" + samples.commit_car()]),
    "node": Target(_node, (TreeError,), samples.nodes),
    "inversion": Target(_inversion, (TreeError,), lambda: [b"\0\x7f", b"\x55\x7f", b"\x7f\x2a\1\1", bytes(range(40))]),
    "commit": Target(_commit, (CommitError,), lambda: [block.data for block in read_car(samples.commit_car())[1]]),
    "identity": Target(
        _identity,
        (WireError,),
        lambda: [
            b"\0" + samples.document(),
            b"\0" + samples.document("EcdsaSecp256k1VerificationKey2019"),
            b"\1DID not available",
            b"\2",
        ],
    ),
    "hosting": Target(
        _hosting,
        (WireError,),
        lambda: [
            b"\0" + json.dumps({"did": _DID, "active": False, "status": "takendown"}).encode(),
            b'\3{"error":"RepoNotFound"}',
        ],
    ),
    "keys": Target(
        _keys,
        (WireError,),
        lambda: (
            [b"\0" + key.encode() for key in samples.MULTIKEYS]
            + [b"\1did:key:" + key.encode() for key in samples.MULTIKEYS]
            + [bytes((2 + index,)) + key.encode() for index, key in enumerate(samples.LEGACY_KEYS)]
        ),
    ),
    "resolver_wire": Target(
        _resolver_wire,
        (ResolverWireError,),
        lambda: [encode_questions(_QUESTIONS).encode(), *(encode_answers([each]).encode() for each in _ANSWERS)],
    ),
    "verify": Target(
        _verify,
        (FrameError, MessageError, Refusal),
        lambda: [bytes((number,)) + edit for number in range(6) for edit in (b"", b"\0\0\1\0\3\1", b"\1\2\3\4")],
    ),
    "record": Target(_record, (RecordError,), samples.odd_records),
    "jetstream": Target(
        _jetstream,
        (RenderError,),
        lambda: [
            *(b"\1" + frame for frame in samples.frames_of_all_kinds()),
            *(bytes((0, number)) + edit for number in range(6) for edit in (b"", b"\0\0\1\0\3\1", b"\2\1")),
        ],
    ),
    "batch": Target(_batch, (BatchError,), lambda: [samples.batch()]),
    "container": Target(
        _container,
        (ContainerError, BlockError),
        lambda: [b"\0" + container_of(firehose_blocks()), b"\1", b"\2", b"\1\1\1\1\1", b"\2\x50\1\1\7"],
    ),
    "request": Target(_request, (), lambda: [each.encode() for each in _REQUESTS]),
    "options": Target(_options, (), lambda: [each.encode() for each in _OPTIONS]),
    "text": Target(_text, (WireError,), lambda: [each.encode() for each in _TEXTS]),
}
