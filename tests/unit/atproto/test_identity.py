"""DID documents. Spec: atproto DID; did:plc; did:web."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.identity import Absence, document_url, parse_document, read_answer
from edgerelay.atproto.json_object import MAX_OBJECT_BYTES
from edgerelay.atproto.keys import Curve, key_from_did_key, key_from_multikey
from edgerelay.errors import WireError
from tests.vectors import did_documents, load_json

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
PLC = "https://plc.example.com"
MULTIKEY = "zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF"
LEGACY = "zQYEBzXeuTM9UR3rfvNag6L3RNAs5pQZyYPsomTsgQhsxLdEgCrPTLgFna8yqCnxPpNT7DBk6Ym3dgPKNu86vt9GR"
METHOD = {"id": f"{DID}#atproto", "type": "Multikey", "controller": DID, "publicKeyMultibase": MULTIKEY}
SERVICE = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": "https://pds.example.com"}
DOCUMENT: dict[str, Any] = {
    "@context": ["https://www.w3.org/ns/did/v1"],
    "id": DID,
    "alsoKnownAs": ["at://atproto.com"],
    "verificationMethod": [METHOD],
    "service": [SERVICE],
}


def parse(**fields: Any) -> Any:
    return parse_document(DID, json.dumps(DOCUMENT | fields).encode())


def test_document_says_key_host_and_handle() -> None:
    identity = parse()
    assert identity.did == DID
    assert identity.signing_key == key_from_multikey(MULTIKEY)
    assert identity.pds == "https://pds.example.com"
    assert identity.handle == "atproto.com"


class TestSigningKey:
    def test_id_is_a_fragment_alone_or_behind_the_did(self) -> None:
        for name in ("#atproto", f"{DID}#atproto"):
            assert parse(verificationMethod=[METHOD | {"id": name}]).signing_key is not None
        for other in ("atproto", "#other", "did:plc:other#atproto", "x#atproto", None, 1):
            assert parse(verificationMethod=[METHOD | {"id": other}]).signing_key is None

    def test_legacy_form(self) -> None:
        legacy = METHOD | {"type": "EcdsaSecp256k1VerificationKey2019", "publicKeyMultibase": LEGACY}
        assert parse(verificationMethod=[legacy]).signing_key.curve is Curve.K256

    def test_first_valid_one_counts(self) -> None:
        broken = METHOD | {"publicKeyMultibase": "zBroken"}
        other = METHOD | {"publicKeyMultibase": "zDnaembgSGUhZULN2Caob4HLJPaxBh92N7rtH21TErzqf8HQo"}
        assert parse(verificationMethod=[broken, METHOD, other]).signing_key == key_from_multikey(MULTIKEY)

    @pytest.mark.parametrize(
        "change",
        [
            {"controller": "did:plc:other"},
            {"controller": None},
            {"type": "Ed25519VerificationKey2020"},
            {"type": None},
            {"publicKeyMultibase": None},
            {"publicKeyMultibase": ""},
            {"publicKeyMultibase": "z" * 100_000},
            {"type": "EcdsaSecp256k1VerificationKey2019"},
        ],
    )
    def test_unusable_ones_do_not(self, change: dict[str, Any]) -> None:
        if len(json.dumps(change)) < MAX_OBJECT_BYTES:
            assert parse(verificationMethod=[METHOD | change]).signing_key is None
        else:
            with pytest.raises(WireError):
                parse(verificationMethod=[METHOD | change])


class TestHost:
    @pytest.mark.parametrize(
        ("endpoint", "origin"),
        [
            ("https://pds.example.com", "https://pds.example.com"),
            ("https://pds.example.com/", "https://pds.example.com"),
            ("HTTPS://PDS.Example.com:443", "https://pds.example.com"),
            ("https://pds.example.com:8443", "https://pds.example.com:8443"),
            ("http://localhost:2583", "http://localhost:2583"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("https://[::1]:2583", "https://[::1]:2583"),
        ],
    )
    def test_endpoint_is_an_origin(self, endpoint: str, origin: str) -> None:
        assert parse(service=[SERVICE | {"serviceEndpoint": endpoint}]).pds == origin

    @pytest.mark.parametrize(
        "endpoint",
        [
            None,
            1,
            "",
            "pds.example.com",
            "ftp://pds.example.com",
            "wss://pds.example.com",
            "https://",
            "https://pds.example.com/xrpc",
            "https://pds.example.com//",
            "https://pds.example.com?x",
            "https://pds.example.com#x",
            "https://user@pds.example.com",
            "https://user:password@pds.example.com",
            "https://pds.example.com:https",
            "https://pds.example.com:123456",
            "https://pds.example.com:0",
            "https://pds.example.com\n",
            " https://pds.example.com",
            "https://pds.example.com\\evil.example",
            "https://p\u212as.example.com",  # the Kelvin sign, which lower-cases to k
        ],
    )
    def test_other_endpoints_are_none(self, endpoint: Any) -> None:
        assert parse(service=[SERVICE | {"serviceEndpoint": endpoint}]).pds is None

    def test_type_and_id(self) -> None:
        assert parse(service=[SERVICE | {"type": "Other"}]).pds is None
        assert parse(service=[SERVICE | {"id": "#other"}]).pds is None
        assert parse(service=[SERVICE | {"id": "#other"}, SERVICE | {"id": f"{DID}#atproto_pds"}]).pds is not None


def test_first_valid_handle_counts() -> None:
    names = [None, "https://example.com", "at://not a handle", "at://Alice.Example.com", "at://atproto.com"]
    assert parse(alsoKnownAs=names).handle == "alice.example.com"
    assert parse(alsoKnownAs=[]).handle is None


@pytest.mark.parametrize("name", ["verificationMethod", "service", "alsoKnownAs"])
@pytest.mark.parametrize("value", [None, {}, "text", 1, [None], ["x"], [[]], [{}], [{"id": {}}]])
def test_parts_of_wrong_types_are_absent(name: str, value: Any) -> None:
    identity = parse(**{name: value})
    found = {"verificationMethod": identity.signing_key, "service": identity.pds, "alsoKnownAs": identity.handle}
    assert found[name] is None


class TestBounds:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"null",
            b"[]",
            b"{",
            b"\xff\xfe\xfd",
            b'{"id": "did:plc:other"}',
            b"{}",
            b'{"id": ' + b"9" * 60_000 + b"}",
        ],
    )
    def test_what_is_no_document_of_this_did_is_refused(self, body: bytes) -> None:
        with pytest.raises(WireError):
            parse_document(DID, body)

    def test_size(self) -> None:
        body = json.dumps(DOCUMENT).encode()
        assert parse_document(DID, body + b" " * (MAX_OBJECT_BYTES - len(body))).handle is not None
        with pytest.raises(WireError, match="too large"):
            parse_document(DID, body + b" " * (MAX_OBJECT_BYTES - len(body) + 1))


class TestAnswer:
    def test_document(self) -> None:
        assert read_answer(DID, 200, json.dumps(DOCUMENT).encode()) == parse()

    def test_absence(self) -> None:
        assert read_answer(DID, 404, b'{"message":"DID not registered: did:plc:x"}') is Absence.NOT_FOUND
        assert read_answer(DID, 404, b'{"message":"DID not available: did:plc:x"}') is Absence.TOMBSTONED
        assert read_answer(DID, 410, b"") is Absence.TOMBSTONED

    @pytest.mark.parametrize("status", [204, 301, 302, 400, 401, 403, 429, 500, 502, 503])
    def test_other_answers_say_nothing(self, status: int) -> None:
        with pytest.raises(WireError):
            read_answer(DID, status, json.dumps(DOCUMENT).encode())


class TestUrl:
    def test_plc(self) -> None:
        assert document_url(DID, PLC) == f"{PLC}/{DID}"

    def test_web(self) -> None:
        assert document_url("did:web:Example.com", PLC) == "https://example.com/.well-known/did.json"
        assert document_url("did:web:a.b.example.com", PLC) == "https://a.b.example.com/.well-known/did.json"

    def test_localhost_only_if_allowed(self) -> None:
        for did, url in (
            ("did:web:localhost", "http://localhost/.well-known/did.json"),
            ("did:web:localhost%3A2583", "http://localhost:2583/.well-known/did.json"),
        ):
            assert document_url(did, PLC, allow_localhost=True) == url
            with pytest.raises(WireError):
                document_url(did, PLC)

    @pytest.mark.parametrize(
        "did",
        [
            "did:key:zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF",
            "did:plc:short",
            "did:plc:EWVI7NXZYOUN6ZHXRHS64OIZ",
            "did:plc:../../admin/aaaaaaaaaaaaaa",
            "did:web:",
            "did:web:com",
            "did:web:example.com:path",
            "did:web:example.com%3A8443",
            "did:web:example.com%2F..",
            "did:web:127.0.0.1",
            "did:web:host.local",
            "did:web:host.internal",
            "did:web:hidden.onion",
            "did:web:sub.localhost",
            "did:web:localhost%3A2583%2F",
            "did:webs:example.com",
            "example.com",
            "",
        ],
    )
    def test_others_are_refused(self, did: str) -> None:
        with pytest.raises(WireError):
            document_url(did, PLC, allow_localhost=True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([DID, "#atproto"]),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "type", "controller", "publicKeyMultibase", "serviceEndpoint"]), children, max_size=5
        )
    ),
    max_leaves=12,
)


@given(JSON, JSON, JSON, st.binary(max_size=60))
def test_nothing_but_a_wire_error_escapes(methods: Any, services: Any, names: Any, body: bytes) -> None:
    identity = parse(verificationMethod=methods, service=services, alsoKnownAs=names)
    assert identity.did == DID
    with pytest.raises(WireError):
        parse_document(DID, body)


class TestVectors:
    @pytest.mark.parametrize("name", ["did_plc_doc", "did_plc_doc_legacy"])
    def test_plc_documents(self, shared_data: Path, name: str) -> None:
        body = (shared_data / f"vectors/indigo/atproto/identity/testdata/{name}.json").read_bytes()
        identity = parse_document(DID, body)
        assert identity.signing_key == key_from_multikey(MULTIKEY)
        assert identity.pds == "https://bsky.social"
        assert identity.handle == "atproto.com"

    def test_web_document_without_account(self, shared_data: Path) -> None:
        body = (shared_data / "vectors/indigo/atproto/identity/testdata/did_web_doc.json").read_bytes()
        identity = parse_document("did:web:discover.bsky.social", body)
        assert (identity.signing_key, identity.pds, identity.handle) == (None, None, None)

    def test_older_documents(self, shared_data: Path) -> None:
        paths = list((shared_data / "vectors/indigo/testing/testdata").glob("*.didDoc.json"))
        for path in paths:
            identity = parse_document(load_json(path)["id"], path.read_bytes())
            assert identity.signing_key is not None
        assert len(paths) == 4

    def test_documents_of_the_network(self, shared_data: Path) -> None:
        documents = did_documents(shared_data)
        for did, document in documents.items():
            identity = parse_document(did, json.dumps(document).encode())
            assert identity.signing_key is not None
            assert identity.pds is not None
            assert identity.pds.startswith("https://")
        assert len(documents) > 100

    def test_documents_agree_with_the_directory(self, shared_data: Path) -> None:
        entries = load_json(shared_data / "capture/plc.json")
        for did, entry in entries.items():
            identity = parse_document(did, json.dumps(entry["doc"]).encode())
            assert identity.signing_key == key_from_did_key(entry["data"]["verificationMethods"]["atproto"])
            assert identity.pds == entry["data"]["services"]["atproto_pds"]["endpoint"]
        assert len(entries) == 86
