"""One answer to each question, whatever is answered. Spec: did:plc; did:web; `com.atproto.sync.getRepoStatus`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.hosting import HostingStatus
from edgerelay.atproto.identity import Absence, Identity
from edgerelay.atproto.json_object import MAX_CONTAINERS, MAX_OBJECT_BYTES
from edgerelay.atproto.keys import Curve, key_from_multikey
from edgerelay.atproto.lookup import (
    MAX_QUESTIONS,
    PATIENCE_S,
    Answer,
    IdentityQuestion,
    LookupFailure,
    Question,
    StatusQuestion,
)
from edgerelay.runtime.fetcher import Fetched, FetchError
from edgerelay.runtime.memory import MemoryFetcher
from edgerelay.runtime.resolver import MAX_CONCURRENT, Resolver
from tests.virtual_time import run

PLC = "https://plc.example.com"
PDS = "https://pds.example.com"
PLC_DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
WEB_DID = "did:web:alice.example.com"
MULTIKEY = "zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF"
LEGACY = "zQYEBzXeuTM9UR3rfvNag6L3RNAs5pQZyYPsomTsgQhsxLdEgCrPTLgFna8yqCnxPpNT7DBk6Ym3dgPKNu86vt9GR"

WHERE = {PLC_DID: f"{PLC}/{PLC_DID}", WEB_DID: "https://alice.example.com/.well-known/did.json"}
STATUS_URL = f"{PDS}/xrpc/com.atproto.sync.getRepoStatus?did={PLC_DID}"


def document(did: str, **fields: Any) -> bytes:
    method = {"id": f"{did}#atproto", "type": "Multikey", "controller": did, "publicKeyMultibase": MULTIKEY}
    service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": PDS}
    whole = {"id": did, "alsoKnownAs": ["at://alice.example.com"], "verificationMethod": [method], "service": [service]}
    return json.dumps(whole | fields).encode()


def ask(*questions: Question, allow_local: bool = False, **web: Fetched | FetchError) -> list[Answer]:
    """Ask of a web in which the directory, the host of the did:web and the PDS answer as they are told."""
    fetcher = MemoryFetcher()
    places = {"plc": WHERE[PLC_DID], "web": WHERE[WEB_DID], "pds": STATUS_URL}
    fetcher.web = {places[name]: answer for name, answer in web.items()}
    answers, _ = run(Resolver(fetcher, PLC, allow_local=allow_local).resolve(questions))
    return answers


def ask_plc(answer: Fetched | FetchError) -> Answer:
    [found] = ask(IdentityQuestion(PLC_DID), plc=answer)
    return found


def ask_web(answer: Fetched | FetchError) -> Answer:
    [found] = ask(IdentityQuestion(WEB_DID), web=answer)
    return found


def ask_pds(answer: Fetched | FetchError) -> Answer:
    [found] = ask(StatusQuestion(PLC_DID, PDS), pds=answer)
    return found


class TestIdentity:
    def test_of_the_directory_and_of_the_web(self) -> None:
        for found, did in (
            (ask_plc(Fetched(200, document(PLC_DID))), PLC_DID),
            (ask_web(Fetched(200, document(WEB_DID))), WEB_DID),
        ):
            assert found == Identity(did, key_from_multikey(MULTIKEY), PDS, "alice.example.com")

    def test_a_legacy_document(self) -> None:
        kind = "EcdsaSecp256k1VerificationKey2019"
        method = {"id": "#atproto", "type": kind, "controller": PLC_DID, "publicKeyMultibase": LEGACY}
        found = ask_plc(Fetched(200, document(PLC_DID, verificationMethod=[method])))
        assert isinstance(found, Identity)
        assert found.signing_key is not None
        assert found.signing_key.curve is Curve.K256

    def test_a_document_without_keys_and_host(self) -> None:
        found = ask_plc(Fetched(200, document(PLC_DID, verificationMethod=[], service=[], alsoKnownAs=[])))
        assert found == Identity(PLC_DID, None, None, None)

    def test_a_document_as_large_as_allowed(self) -> None:
        body = document(PLC_DID)
        assert isinstance(ask_plc(Fetched(200, body + b" " * (MAX_OBJECT_BYTES - len(body)))), Identity)

    @pytest.mark.parametrize("asker", [ask_plc, ask_web])
    def test_absence(self, asker: Any) -> None:
        assert asker(Fetched(404, b'{"message":"DID not registered"}')) is Absence.NOT_FOUND
        assert asker(Fetched(404, b"<html>" + b" " * MAX_OBJECT_BYTES)) is Absence.NOT_FOUND
        assert asker(Fetched(410, b"")) is Absence.TOMBSTONED


PASSING: list[tuple[Fetched | FetchError, str, int]] = [
    (FetchError("timeout"), "timeout", 0),
    (FetchError("network: gone"), "network: gone", 0),
    (Fetched(429, b"", 7), "HTTP 429", 7),
    (Fetched(500, b""), "HTTP 500", 0),
    (Fetched(503, b"<html>", 60), "HTTP 503", 60),
    (Fetched(599, document(PLC_DID)), "HTTP 599", 0),
]
"""What passes, whoever it is that fails."""

NONSENSE: list[tuple[Fetched, str]] = [
    (Fetched(301, b""), "redirect"),
    (Fetched(302, document(PLC_DID)), "redirect"),
    (Fetched(308, b""), "redirect"),
    (Fetched(200, b""), "an answer that is no JSON object"),
    (Fetched(200, b"<html>" + b"{" * MAX_CONTAINERS), "an answer that is no JSON object"),
    (Fetched(200, b'{"id": '), "an answer that is not JSON"),
    (Fetched(200, b" " * MAX_OBJECT_BYTES + b"{}"), "an answer that is too large"),
    (Fetched(200, b"[]"), "an answer that is no JSON object"),
    (Fetched(200, document("did:plc:other")), "a DID document belongs to another DID"),
    (Fetched(204, b""), "an answer of status 204"),
    (Fetched(400, b""), "an answer of status 400"),
    (Fetched(403, b""), "an answer of status 403"),
]
"""What no directory and no host should answer when it is asked for a document."""

BRACKETS = [b'{"a":' + b"[" * MAX_CONTAINERS, document(PLC_DID, alsoKnownAs=["[" * 999])]


class TestFailure:
    @pytest.mark.parametrize(("answer", "problem", "retry_after_s"), PASSING)
    def test_what_passes(self, answer: Fetched | FetchError, problem: str, retry_after_s: int) -> None:
        assert ask_plc(answer) == LookupFailure(problem, True, False, retry_after_s)
        assert ask_web(answer) == LookupFailure(problem, False, False, retry_after_s)
        assert ask_pds(answer) == LookupFailure(problem, False, False, retry_after_s)

    @pytest.mark.parametrize(("answer", "problem"), NONSENSE)
    def test_nonsense_passes_if_the_directory_talks_it(self, answer: Fetched, problem: str) -> None:
        assert ask_plc(answer) == LookupFailure(problem, is_directory=True, is_final=False)
        assert ask_web(answer) == LookupFailure(problem, is_directory=False, is_final=True)

    @pytest.mark.parametrize("body", BRACKETS)
    def test_nobody_can_blame_the_directory_by_a_document_of_his_own(self, body: bytes) -> None:
        expected = LookupFailure("an answer with too many brackets", is_directory=False, is_final=True)
        assert ask_plc(Fetched(200, body)) == ask_web(Fetched(200, body)) == expected

    @pytest.mark.parametrize("did", ["did:key:zQ3sh", "did:plc:short", "did:webs:example.com", "nonsense", ""])
    def test_a_method_that_is_not_supported(self, did: str) -> None:
        expected = LookupFailure("a DID of a method that is not supported", is_directory=False, is_final=True)
        assert ask(IdentityQuestion(did)) == [expected]

    @pytest.mark.parametrize(
        "did", ["did:web:127.0.0.1", "did:web:localhost", "did:web:pds.internal", "did:web:a.com%3A1"]
    )
    def test_a_web_did_that_names_no_public_host(self, did: str) -> None:
        expected = LookupFailure("a did:web that does not name a public host", is_directory=False, is_final=True)
        assert ask(IdentityQuestion(did)) == [expected]


class TestStatus:
    def test_answers(self) -> None:
        assert ask_pds(Fetched(200, json.dumps({"did": PLC_DID, "active": True, "rev": "x"}).encode())) == (True, None)
        taken = json.dumps({"did": PLC_DID, "active": False, "status": "takendown"}).encode()
        assert ask_pds(Fetched(200, taken)) == HostingStatus(False, "takendown")
        for status in (400, 404):
            assert ask_pds(Fetched(status, b'{"error":"RepoNotFound"}')) is Absence.NOT_FOUND

    @pytest.mark.parametrize(
        "answer",
        [
            Fetched(200, b"{}"),
            Fetched(200, b"<html>"),
            Fetched(200, json.dumps({"did": "did:plc:other", "active": True}).encode()),
            Fetched(301, b""),
            Fetched(400, b'{"error":"InvalidRequest"}'),
            Fetched(401, b""),
            Fetched(404, b"<html>"),
            Fetched(200, b" " * MAX_OBJECT_BYTES + b"{}"),
        ],
    )
    def test_anything_else_is_final(self, answer: Fetched) -> None:
        found = ask_pds(answer)
        assert isinstance(found, LookupFailure)
        assert (found.is_directory, found.is_final) == (False, True)

    @pytest.mark.parametrize(
        "origin", ["http://pds.example.com", "https://10.0.0.1", "https://localhost", f"{PDS}/", ""]
    )
    def test_a_host_that_is_not_public_is_not_asked(self, origin: str) -> None:
        expected = LookupFailure("a host that is not public", is_directory=False, is_final=True)
        assert ask(StatusQuestion(PLC_DID, origin)) == [expected]


def test_this_machine_is_asked_where_it_is_allowed() -> None:
    fetcher = MemoryFetcher()
    questions: list[Question] = [
        IdentityQuestion("did:web:localhost%3A2583"),
        StatusQuestion(PLC_DID, "http://localhost:2583"),
    ]
    run(Resolver(fetcher, PLC, allow_local=True).resolve(questions))
    assert fetcher.asked == [
        "http://localhost:2583/.well-known/did.json",
        f"http://localhost:2583/xrpc/com.atproto.sync.getRepoStatus?did={PLC_DID}",
    ]


class TestBatch:
    def test_answers_come_in_the_order_of_the_questions_and_each_url_is_asked_for_once(self) -> None:
        fetcher = MemoryFetcher()
        fetcher.web = {
            WHERE[PLC_DID]: Fetched(410, b""),
            WHERE[WEB_DID]: Fetched(404, b""),
            STATUS_URL: Fetched(200, json.dumps({"did": PLC_DID, "active": True}).encode()),
        }
        plc, web, status = IdentityQuestion(PLC_DID), IdentityQuestion(WEB_DID), StatusQuestion(PLC_DID, PDS)
        answers, _ = run(Resolver(fetcher, PLC, allow_local=False).resolve([web, plc, status, plc, web, web]))
        gone, lost = Absence.TOMBSTONED, Absence.NOT_FOUND
        assert answers == [lost, gone, HostingStatus(True, None), gone, lost, lost]
        assert sorted(fetcher.asked) == sorted([*WHERE.values(), STATUS_URL])

    def test_nothing_is_asked_for_nothing(self) -> None:
        assert ask() == []

    def test_the_largest_batch_waits_for_six_at_a_time(self) -> None:
        fetcher = MemoryFetcher()
        fetcher.latency_s = dict.fromkeys([web_url(number) for number in range(MAX_QUESTIONS)], PATIENCE_S)
        questions = [web_question(number) for number in range(MAX_QUESTIONS)]
        answers, took_s = run(Resolver(fetcher, PLC, allow_local=False).resolve(questions))
        assert len(answers) == len(fetcher.asked) == MAX_QUESTIONS
        assert fetcher.most_pending == MAX_CONCURRENT
        assert took_s == pytest.approx(PATIENCE_S * MAX_QUESTIONS / MAX_CONCURRENT)

    def test_a_slow_host_takes_one_place_and_no_more(self) -> None:
        fetcher = MemoryFetcher()
        fetcher.latency_s = dict.fromkeys([web_url(number) for number in range(MAX_QUESTIONS)], 0.08)
        fetcher.latency_s[web_url(0)] = PATIENCE_S
        questions = [web_question(number) for number in range(MAX_QUESTIONS)]
        _, took_s = run(Resolver(fetcher, PLC, allow_local=False).resolve(questions))
        assert took_s == pytest.approx(PATIENCE_S)


def web_question(number: int) -> Question:
    return IdentityQuestion(f"did:web:host{number}.example.com")


def web_url(number: int) -> str:
    return f"https://host{number}.example.com/.well-known/did.json"


ANSWERS: st.SearchStrategy[Fetched | FetchError] = st.builds(
    Fetched,
    st.integers(100, 999) | st.sampled_from([200, 200, 404]),
    st.binary(max_size=40)
    | st.sampled_from([document(PLC_DID), document(WEB_DID), *BRACKETS])
    | st.builds(
        lambda fields: json.dumps({"did": PLC_DID, "id": PLC_DID, "active": False} | fields).encode(),
        st.dictionaries(
            st.sampled_from(["id", "status", "service", "verificationMethod", "alsoKnownAs", "error"]),
            st.none() | st.integers() | st.text(max_size=9) | st.lists(st.text(max_size=9), max_size=2),
        ),
    ),
    st.integers(0, 3_600),
) | st.builds(FetchError, st.text(max_size=9))
QUESTIONS: list[Question] = [
    IdentityQuestion(PLC_DID),
    IdentityQuestion(WEB_DID),
    StatusQuestion(PLC_DID, PDS),
    IdentityQuestion("did:key:z"),
    StatusQuestion(PLC_DID, "https://[::1]"),
]


@given(st.lists(st.sampled_from(QUESTIONS), max_size=MAX_QUESTIONS), ANSWERS, ANSWERS, ANSWERS)
def test_whatever_is_answered_each_question_has_one_answer(
    questions: list[Question], plc: Fetched | FetchError, web: Fetched | FetchError, pds: Fetched | FetchError
) -> None:
    answers = ask(*questions, plc=plc, web=web, pds=pds)
    assert len(answers) == len(questions)
    for question, answer in zip(questions, answers, strict=True):
        wanted = Identity if isinstance(question, IdentityQuestion) else HostingStatus
        assert isinstance(answer, wanted | Absence | LookupFailure)
        if isinstance(answer, Identity):
            assert answer.did == question.did
        if isinstance(answer, LookupFailure):
            assert not (answer.is_directory and (answer.is_final or question != QUESTIONS[0]))
