"""What RelayState and the resolver say to each other."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.hosting import HostingStatus
from edgerelay.atproto.identity import Absence, Identity
from edgerelay.atproto.keys import Curve, PublicKey
from edgerelay.atproto.lookup import MAX_QUESTIONS, Answer, IdentityQuestion, LookupFailure, Question, StatusQuestion
from edgerelay.runtime.resolver_wire import (
    WIRE_VERSION,
    ResolverWireError,
    decode_answers,
    decode_questions,
    encode_answers,
    encode_questions,
)

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
POINT = bytes([2, *range(32)])

TEXTS = st.text(max_size=20)
KEYS = st.builds(PublicKey, st.sampled_from(Curve), st.binary(min_size=33, max_size=33))
QUESTIONS: st.SearchStrategy[Question] = st.builds(IdentityQuestion, TEXTS) | st.builds(StatusQuestion, TEXTS, TEXTS)
ANSWERS: st.SearchStrategy[Answer] = st.one_of(
    st.builds(Identity, TEXTS, st.none() | KEYS, st.none() | TEXTS, st.none() | TEXTS),
    st.sampled_from(Absence),
    st.builds(HostingStatus, st.booleans(), st.none() | TEXTS),
    st.builds(LookupFailure, TEXTS, st.booleans(), st.booleans(), st.integers(0, 3_600)),
)


@given(st.lists(QUESTIONS, max_size=MAX_QUESTIONS), st.lists(ANSWERS, max_size=MAX_QUESTIONS))
def test_what_is_written_is_read(questions: list[Question], answers: list[Answer]) -> None:
    read = decode_questions(encode_questions(questions))
    assert [(type(each), each) for each in read] == [(type(each), each) for each in questions]
    heard = decode_answers(encode_answers(answers), len(answers))
    assert [(type(each), each) for each in heard] == [(type(each), each) for each in answers]


def test_the_bytes_of_version_1() -> None:
    """A relay that is being replaced still speaks it: these must be read for as long as version 1 is."""
    questions = '{"v":1,"questions":[{"identity":{"did":"d","patience_s":1}},{"status":{"did":"d","origin":"o"}}]}'
    assert decode_questions(questions) == [IdentityQuestion("d", 1), StatusQuestion("d", "o")]
    assert encode_questions(decode_questions(questions)) == questions
    answers = (
        '{"v":1,"answers":[{"identity":{"did":"d","key":["k256","' + POINT.hex() + '"],"pds":"p","handle":"h"}},'
        '{"identity":{"did":"d","key":null,"pds":null,"handle":null}},{"absence":"tombstoned"},'
        '{"status":{"active":false,"status":"takendown"}},{"status":{"active":true,"status":null}},'
        '{"failure":{"problem":"timeout","is_directory":true,"is_final":false,"retry_after_s":7}}]}'
    )
    assert decode_answers(answers, 6) == [
        Identity("d", PublicKey(Curve.K256, POINT), "p", "h"),
        Identity("d", None, None, None),
        Absence.TOMBSTONED,
        HostingStatus(False, "takendown"),
        HostingStatus(True, None),
        LookupFailure("timeout", True, False, 7),
    ]
    assert encode_answers(decode_answers(answers, 6)) == answers


def test_fields_that_are_not_known_yet_are_passed_over() -> None:
    text = '{"v":1,"more":1,"questions":[{"identity":{"did":"d","more":1},"more":1}]}'
    assert decode_questions(text) == [IdentityQuestion("d")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "{",
        '{"questions":[],"answers":[]}',
        '{"v":0,"questions":[],"answers":[]}',
        '{"v":2,"questions":[],"answers":[]}',
        '{"v":"1","questions":[],"answers":[]}',
        '{"v":[1],"questions":[],"answers":[]}',
        '{"v":1}',
        '{"v":1,"questions":{},"answers":{}}',
        '{"v":1,"questions":null,"answers":null}',
        '{"v":1,"questions":[null],"answers":[null]}',
        '{"v":1,"questions":[{}],"answers":[{}]}',
        '{"v":1,"questions":[{"identity":"d"}],"answers":[{"identity":"d"}]}',
        '{"v":1,"questions":[{"identity":{"did":1}}],"answers":[{"identity":{"did":"d"}}]}',
        '{"v":1,"questions":[{"status":{"did":"d"}}],"answers":[{"status":{"active":1,"status":null}}]}',
        '{"v":1,"questions":[{"other":{"did":"d"}}],"answers":[{"absence":"other"}]}',
    ],
)
def test_what_is_not_understood_is_named(text: str) -> None:
    with pytest.raises(ResolverWireError):
        decode_questions(text)
    with pytest.raises(ResolverWireError):
        decode_answers(text, 0)
    with pytest.raises(ResolverWireError):
        decode_answers(text, 1)


@pytest.mark.skipif(sys.platform == "emscripten", reason="there the stack overflows; only we write these messages")
def test_what_is_nested_too_deeply_is_named() -> None:
    test_what_is_not_understood_is_named("[" * 100_000)


@pytest.mark.parametrize(
    "key", ["k256", [], ["k256"], ["k256", ""], ["k256", "zz" * 33], ["k255", "02" * 33], ["k256", "02" * 32], [1, 2]]
)
def test_a_key_that_is_not_understood_is_named(key: Any) -> None:
    answer = {"identity": {"did": "d", "key": key, "pds": None, "handle": None}}
    with pytest.raises(ResolverWireError):
        decode_answers(json.dumps({"v": WIRE_VERSION, "answers": [answer]}), 1)


def test_a_batch_is_bounded_on_both_sides() -> None:
    full: list[Question] = [IdentityQuestion(DID)] * MAX_QUESTIONS
    text = encode_questions(full)
    with pytest.raises(ResolverWireError):
        encode_questions([*full, IdentityQuestion(DID)])
    with pytest.raises(ResolverWireError):
        decode_questions(text.replace("[", '[{"identity":{"did":"d"}},', 1))


def test_each_question_has_its_answer() -> None:
    text = encode_answers([Absence.NOT_FOUND])
    for count in (0, 2):
        with pytest.raises(ResolverWireError):
            decode_answers(text, count)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["d", "k256", POINT.hex()]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["identity", "status", "absence", "failure", "did", "origin", "key", "active"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.text(max_size=20))
def test_nothing_but_its_own_error_escapes(item: Any, text: str) -> None:
    for each in (text, json.dumps({"v": WIRE_VERSION, "questions": [item], "answers": [item]})):
        with suppress(ResolverWireError):
            decode_questions(each)
        with suppress(ResolverWireError):
            decode_answers(each, 1)
