"""The operator's look-ups: what they look for, and what they are answered."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from edgerelay.api.blob_index import BLOB_INDEX_PATH, BlobQuestion, answer_references, read_blob_question
from edgerelay.api.message import Request, Response
from edgerelay.archive.blobs import BlobReference
from edgerelay.archive.block import MAX_SEQ
from edgerelay.atproto.cid import cid_for_raw, cid_to_text
from tests.oracle import frames

TOKEN = "3b1f-operator"
OPERATOR = {"authorization": f"Bearer {TOKEN}"}
DID, CID = frames.did(1), cid_to_text(cid_for_raw(b"image"))


def read(
    *query: tuple[str, str], method: str = "GET", headers: Mapping[str, str] = OPERATOR, is_on: bool = True
) -> BlobQuestion | tuple[int, str]:
    """The question, or its refusal as (status, error)."""
    found = read_blob_question(Request(method, BLOB_INDEX_PATH, query, headers, "request-7"), TOKEN, is_on=is_on)
    return (found.status, json.loads(found.body)["error"]) if isinstance(found, Response) else found


def test_an_account_or_a_blob_or_both_and_where_to_look_on() -> None:
    assert read(("did", DID)) == BlobQuestion(DID, "", 0)
    assert read(("cid", CID), method="HEAD") == BlobQuestion("", CID, 0)
    assert read(("did", DID), ("cid", CID), ("cursor", str(MAX_SEQ))) == BlobQuestion(DID, CID, MAX_SEQ)


@pytest.mark.parametrize(
    "query",
    [
        [],
        [("cursor", "7")],
        [("did", "alice")],
        [("cid", "bafy")],
        [("did", DID), ("did", DID)],
        [("did", DID), ("cursor", "-1")],
        [("did", DID), ("cursor", str(MAX_SEQ + 1))],
        [("did", DID), ("cursor", "9" * 5_000)],
        [("did", DID), ("cursor", "\u0667")],
    ],
)
def test_nonsense(query: list[tuple[str, str]]) -> None:
    assert read(*query) == (400, "InvalidRequest")


def test_only_the_operator_may_ask_and_only_where_references_are_kept() -> None:
    assert read(("did", DID), headers={}) == (401, "AuthenticationRequired")
    assert read(("did", DID), is_on=False) == (403, "BlobIndexDisabled")
    assert read(("did", DID), method="POST") == (405, "MethodNotAllowed")


def test_an_answer_names_records_and_where_to_look_on() -> None:
    reference = BlobReference(7, DID, "a.b.c/k", CID, "image/png", None, "https://pds.test")
    blob = {
        "uri": f"at://{DID}/a.b.c/k",
        "cid": CID,
        "mimeType": "image/png",
        "size": None,
        "host": "https://pds.test",
        "seq": 7,
    }
    answer = answer_references([reference], ["blobs/damaged"], 5)
    assert json.loads(answer.body) == {"blobs": [blob], "damaged": ["blobs/damaged"], "cursor": "5"}
    assert json.loads(answer_references([], [], 0).body) == {"blobs": [], "damaged": []}
