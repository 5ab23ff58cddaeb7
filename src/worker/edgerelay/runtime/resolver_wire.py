"""The JSON in which questions go to the resolver and answers come back.

Both sides are ours but may be of different versions for a while, when one of them has taken new code: every message
names its version, and the previous one is accepted. There has been none before version 1.

    {"v": 1, "questions": [{"identity": {"did": …, "patience_s": …}}, {"status": {"did": …, "origin": …}}]}
    {"v": 1, "answers": [{"identity": {"did": …, "key": [curve, hex] or null, "pds": …, "handle": …}},
                         {"absence": "not_found"}, {"status": {"active": …, "status": …}},
                         {"failure": {"problem": …, "is_directory": …, "is_final": …, "retry_after_s": …}}]}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from edgerelay.atproto.hosting import HostingStatus
from edgerelay.atproto.identity import Absence, Identity
from edgerelay.atproto.keys import Curve, PublicKey
from edgerelay.atproto.lookup import (
    MAX_QUESTIONS,
    Answer,
    IdentityQuestion,
    LookupFailure,
    Question,
    StatusQuestion,
)
from edgerelay.errors import InvariantError

__all__ = [
    "WIRE_VERSION",
    "ResolverWireError",
    "decode_answers",
    "decode_questions",
    "encode_answers",
    "encode_questions",
]

WIRE_VERSION: Final = 1
_ACCEPTED: Final = (WIRE_VERSION,)
_POINT_BYTES: Final = 33

_T = TypeVar("_T")


class ResolverWireError(InvariantError):
    """A message between RelayState and the resolver that this version does not understand."""


def encode_questions(questions: Sequence[Question]) -> str:
    """Write what is asked."""
    if len(questions) > MAX_QUESTIONS:
        raise ResolverWireError(f"{len(questions)} questions are too many")
    return _encode("questions", [{_question_kind(each): each._asdict()} for each in questions])


def decode_questions(text: str) -> list[Question]:
    """Read what is asked."""
    questions = _decode("questions", text, _question)
    if len(questions) > MAX_QUESTIONS:
        raise ResolverWireError(f"{len(questions)} questions are too many")
    return questions


def encode_answers(answers: Sequence[Answer]) -> str:
    """Write what is answered."""
    return _encode("answers", [_answer_object(each) for each in answers])


def decode_answers(text: str, count: int) -> list[Answer]:
    """Read the answers to so many questions."""
    answers = _decode("answers", text, _answer)
    if len(answers) != count:
        raise ResolverWireError(f"{len(answers)} answers to {count} questions")
    return answers


def _encode(name: str, items: list[dict[str, Any]]) -> str:
    return json.dumps({"v": WIRE_VERSION, name: items}, separators=(",", ":"))


def _decode(name: str, text: str, read: Callable[[object], _T]) -> list[_T]:
    try:
        message = json.loads(text)
        if not isinstance(message, dict) or message.get("v") not in _ACCEPTED:
            raise ResolverWireError("a message of a version that is not understood")
        items = message.get(name)
        if not isinstance(items, list):
            raise ResolverWireError(f"a message without {name}")
        return [read(item) for item in items]
    except (RecursionError, ValueError):  # no JSON or too deep, no hexadecimal, or no member of an enumeration
        raise ResolverWireError(f"a message with {name} that are damaged") from None


def _question_kind(question: Question) -> str:
    return "identity" if isinstance(question, IdentityQuestion) else "status"


def _question(item: object) -> Question:
    match item:
        case {"identity": {"did": str(did), "patience_s": int(patience_s)}}:
            return IdentityQuestion(did, patience_s)
        case {"identity": {"did": str(did)}}:
            return IdentityQuestion(did)
        case {"status": {"did": str(did), "origin": str(origin)}}:
            return StatusQuestion(did, origin)
    raise ResolverWireError("a question that is not understood")


def _answer_object(answer: Answer) -> dict[str, Any]:
    match answer:
        case Identity(did, key, pds, handle):
            written = None if key is None else [key.curve, key.point.hex()]
            return {"identity": {"did": did, "key": written, "pds": pds, "handle": handle}}
        case Absence():
            return {"absence": answer}
        case HostingStatus():
            return {"status": answer._asdict()}
        case LookupFailure():
            return {"failure": answer._asdict()}


def _answer(item: object) -> Answer:
    match item:
        case {"identity": {"did": str(did), "key": key, "pds": str() | None as pds, "handle": str() | None as handle}}:
            return Identity(did, _key(key), pds, handle)
        case {"absence": str(absence)}:
            return Absence(absence)
        case {"status": {"active": bool(active), "status": str() | None as status}}:
            return HostingStatus(active, status)
        case {
            "failure": {
                "problem": str(problem),
                "is_directory": bool(is_directory),
                "is_final": bool(is_final),
                "retry_after_s": int(retry_after_s),
            }
        }:
            return LookupFailure(problem, is_directory, is_final, retry_after_s)
    raise ResolverWireError("an answer that is not understood")


def _key(item: object) -> PublicKey | None:
    match item:
        case None:
            return None
        case [str(curve), str(text)] if len(point := bytes.fromhex(text)) == _POINT_BYTES:
            return PublicKey(Curve(curve), point)
    raise ResolverWireError("a key that is not understood")
