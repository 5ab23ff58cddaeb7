"""Records as JSON. Spec: atproto data model, else what Jetstream v1 does; the twin is `tests.oracle.jetstream`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cbor2 import dumps, loads
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.cid import cid_for_cbor, cid_for_raw, cid_to_link, cid_to_text
from edgerelay.atproto.dagcbor import MAX_DEPTH, MAX_VALUES
from edgerelay.atproto.record_json import RecordError, record_to_json, text_to_json
from tests.oracle import jetstream as twin
from tests.vectors import base64_bytes, load_json

LINK, RAW_LINK = cid_to_link(cid_for_cbor(b"\xa0")), cid_to_link(cid_for_raw(b"a blob"))
CID, RAW_CID = cid_to_text(cid_for_cbor(b"\xa0")), cid_to_text(cid_for_raw(b"a blob"))
BLOB = {"$type": "blob", "ref": RAW_LINK, "mimeType": "image/png", "size": 7}
BLOB_TEXT = f'{{"$type":"blob","ref":{{"$link":"{RAW_CID}"}},"mimeType":"image/png","size":7}}'


def in_order(value: Any) -> Any:
    """Maps with their keys as the deterministic encoding has them; `dumps` then keeps floats eight bytes long."""
    if isinstance(value, dict):
        return {name: in_order(value[name]) for name in sorted(value, key=lambda name: (len(name.encode()), name))}
    return [in_order(each) for each in value] if isinstance(value, list) else value


def block(value: Any) -> bytes:
    return dumps(in_order(value))


def rendered(value: Any) -> str:
    """The JSON of a value below the only key of a record."""
    text = record_to_json(block({"v": value})).decode()
    assert text.startswith('{"v":')
    return text[5:-1]


def refuse(value: Any) -> None:
    with pytest.raises(RecordError):
        record_to_json(block(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (-(2**63), "-9223372036854775808"),
        (2**63 - 1, "9223372036854775807"),
        ([], "[]"),
        ({}, "{}"),
        ([1, [2, {"a": [False]}]], '[1,[2,{"a":[false]}]]'),
        (LINK, f'{{"$link":"{CID}"}}'),
        (b"", '{"$bytes":""}'),
        (b"\xfb", '{"$bytes":"+w"}'),
        (b"\xff\xff", '{"$bytes":"//8"}'),
        (b"abc", '{"$bytes":"YWJj"}'),
    ],
)
def test_values_of_the_data_model(value: Any, text: str) -> None:
    assert rendered(value) == text


def test_keys_stand_in_the_order_of_their_bytes() -> None:
    value = {
        "b": 1,
        "aa": {"z": 1, "é": 2, "\U0001f600": 3, "\uffff": 4, "Z": 5, "$type": "a.b.c"},
        "$type": "x",
        "": 0,
    }
    inner = '{"$type":"a.b.c","Z":5,"z":1,"é":2,"\uffff":4,"\U0001f600":3}'
    assert record_to_json(block(value)).decode() == '{"":0,"$type":"x","aa":' + inner + ',"b":1}'


class TestText:
    @pytest.mark.parametrize(
        ("raw", "escaped"),
        [
            ("<b>&", "\\u003cb\\u003e\\u0026"),
            ("\u2028\u2029\u2027", "\\u2028\\u2029\u2027"),
            ('"\\/', '\\"\\\\/'),
            ("\n\r\t", "\\n\\r\\t"),
            ("\b\f\x00\x1f", "\\u0008\\u000c\\u0000\\u001f"),
            ("\\b\\\b\\\\f\f", "\\\\b\\\\\\u0008\\\\\\\\f\\u000c"),
            ("\x7f é\U0001f468\u200d\U0001f469", "\x7f é\U0001f468\u200d\U0001f469"),
        ],
    )
    def test_is_escaped_as_go_does(self, raw: str, escaped: str) -> None:
        assert text_to_json(raw).decode() == rendered(raw) == f'"{escaped}"'
        assert record_to_json(block({raw: 1})).decode() == f'{{"{escaped}":1}}'

    @given(st.text(st.sampled_from('\\\b\fbfn"<&\u2028u0\x00é')))
    def test_escapes_do_not_run_into_each_other(self, text: str) -> None:
        assert text_to_json(text).decode() == twin.record({"v": text})[5:-1]
        assert json.loads(text_to_json(text)) == text

    def test_must_be_utf_8(self) -> None:
        for data in (b"\xa1\x61\xff\x01", b"\xa1\x61a\x61\xff", b"\xa1\x61a\x81\x63\xed\xa0\x80"):
            with pytest.raises(RecordError):
                record_to_json(data)


class TestBlobs:
    def test_have_an_order_of_their_own(self) -> None:
        assert rendered(BLOB) == BLOB_TEXT
        assert rendered({"z": [BLOB], "a": BLOB}) == f'{{"a":{BLOB_TEXT},"z":[{BLOB_TEXT}]}}'

    def test_may_say_their_link_in_json(self) -> None:
        assert rendered({**BLOB, "ref": {"$link": RAW_CID}}) == BLOB_TEXT

    @pytest.mark.parametrize("field", ["ref", "mimeType", "size"])
    def test_need_every_field(self, field: str) -> None:
        refuse({"v": {name: value for name, value in BLOB.items() if name != field}})

    @pytest.mark.parametrize(
        "wrong",
        [
            {"size": -1},
            {"size": "7"},
            {"size": True},
            {"size": 1.5},
            {"mimeType": None},
            {"ref": RAW_CID},
            {"ref": {"$link": "."}},
            {"ref": {"$bytes": ""}},
            {"alt": "a field more"},
        ],
    )
    def test_have_nothing_else(self, wrong: dict[str, Any]) -> None:
        refuse({"v": {**BLOB, **wrong}})

    def test_without_a_type_are_a_cid_and_a_mime_type(self) -> None:
        text = f'{{"cid":"{RAW_CID}","mimeType":"image/png"}}'
        for cid in (RAW_CID, RAW_LINK, {"$link": RAW_CID}):
            assert rendered({"mimeType": "image/png", "cid": cid}) == text
        for wrong in ({"cid": "."}, {"cid": None}, {"cid": b""}, {"mimeType": 1}):
            refuse({"v": {"cid": RAW_CID, "mimeType": "image/png", **wrong}})
        assert rendered({"cid": ".", "mimeType": 1, "more": 2}) == '{"cid":".","mimeType":1,"more":2}'
        assert rendered({"cid": "."}) == '{"cid":"."}'


class TestWhatIsReserved:
    def test_a_link_that_is_said_in_json_is_a_link(self) -> None:
        assert rendered({"$link": CID}) == f'{{"$link":"{CID}"}}'
        for wrong in (1, "", ".", CID.upper(), CID[:-1], LINK, {"$link": CID}):
            refuse({"v": {"$link": wrong}})
        refuse({"v": {"$link": CID, "other": 1}})

    def test_bytes_that_are_said_in_json_are_bytes(self) -> None:
        assert rendered({"$bytes": "YWJj"}) == '{"$bytes":"YWJj"}'
        assert rendered({"$bytes": "YWJ"}) == '{"$bytes":"YWI"}', "bits that no byte has are left out"
        for wrong in (1, [1], b"abc", "a", "abcde", "YQ==", "YW Jj", "YW\nJj", "-_-_", "é", "\ud7ff" * 4):
            refuse({"v": {"$bytes": wrong}})
        refuse({"v": {"$bytes": "YWJj", "other": 1}})

    @pytest.mark.parametrize("kind", ["", None, 123, [], {}, b"a"])
    def test_a_type_is_a_name(self, kind: Any) -> None:
        refuse({"$type": kind})
        refuse({"v": [{"$type": kind}]})

    @pytest.mark.parametrize(
        "value",
        [None, 1, "text", [], [{}], b"", LINK, BLOB, {"$link": CID}, {"$bytes": ""}, {"cid": CID, "mimeType": ""}],
    )
    def test_a_record_is_a_map_that_is_nothing_else(self, value: Any) -> None:
        refuse(value)


class TestNumbers:
    @pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (-0.0, "0"), (123.0, "123"), (-(2.0**63), f"{-(2**63)}")])
    def test_whole_floats_are_integers(self, value: float, text: str) -> None:
        assert rendered(value) == text
        assert rendered([{"a": [value, LINK]}]) == f'[{{"a":[{text},{{"$link":"{CID}"}}]}}]'

    def test_a_blob_may_have_a_float_for_its_size(self) -> None:
        assert rendered({**BLOB, "size": 7.0}) == BLOB_TEXT

    @pytest.mark.parametrize("value", [0.5, 2.0**63, 1e300, float("inf"), float("-inf"), float("nan"), 2**63, -(2**64)])
    def test_others_are_refused(self, value: float) -> None:
        refuse({"v": value})
        refuse({"v": [{"a": value}]})


class TestBounds:
    def test_depth(self) -> None:
        def nested(depth: int) -> bytes:
            return b"\xa1\x61a" * (depth // 2) + b"\x81" * (depth - depth // 2) + b"\x01"

        assert record_to_json(nested(MAX_DEPTH)).count(b"[") == MAX_DEPTH // 2
        for too_deep in (nested(MAX_DEPTH + 1), nested(500_000)):
            with pytest.raises(RecordError):
                record_to_json(too_deep)

    def test_values(self) -> None:
        record_to_json(block({"v": [0] * (MAX_VALUES - 2)}))
        refuse({"v": [0] * (MAX_VALUES - 1)})
        refuse({"v": [0.0] * (MAX_VALUES - 1)})

    def test_huge_text(self) -> None:
        assert len(rendered("<" * 999_000)) == 6 * 999_000 + 2

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\xa1\x61a",
            b"\xa0\xa0",
            b"\xa2\x61b\x01\x61a\x01",
            b"\xa2\x61a\x01\x61a\x01",
            b"\xbf\xff",
            b"\xa1\x01\x01",
            b"\xa1\x61a\x18\x01",
            b"\xa1\x61a\xc2\x41\x01",
            b"\xa1\x61a\xd8\x2a\x41\x00",
            b"\xa1\x61a\xf9\x3c\x00",
            b"\xa1\x61a\xf7",
        ],
    )
    def test_only_the_deterministic_encoding_of_the_data_model(self, data: bytes) -> None:
        with pytest.raises(RecordError):
            record_to_json(data)


NAMES = st.sampled_from(["$type", "$link", "$bytes", "cid", "mimeType", "ref", "size", "a", "b"]) | st.text(max_size=4)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats() | st.integers(-9, 9).map(float),
    st.text(max_size=9),
    st.sampled_from(["blob", "image/png", CID, RAW_CID, "YWJj", "YWJ", ""]),
    st.binary(max_size=9),
    st.sampled_from([LINK, RAW_LINK]),
)
ODD_MAPS = st.one_of(
    st.fixed_dictionaries({"$link": SCALARS}),
    st.fixed_dictionaries({"$bytes": SCALARS}),
    st.fixed_dictionaries({"cid": SCALARS, "mimeType": SCALARS}),
    st.fixed_dictionaries({name: st.just(value) | SCALARS for name, value in BLOB.items()}),
    st.just(BLOB),
)
VALUES = st.recursive(
    SCALARS | ODD_MAPS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, VALUES, max_size=5) | VALUES)
def test_the_twin_agrees(value: Any) -> None:
    data = block(value)
    try:
        expected = twin.record(loads(data))
    except twin.NoJsonError:
        expected = None
    try:
        text = record_to_json(data)
    except RecordError:
        assert expected is None
    else:
        assert text.decode() == expected
        assert isinstance(json.loads(text), dict)


@given(st.dictionaries(NAMES, VALUES, max_size=5).map(block), st.data())
def test_whatever_the_bytes_it_is_json_or_a_record_error(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data)))
    data = data[:at] + draw.draw(st.binary(max_size=3)) + data[at + draw.draw(st.integers(0, 3)) :]
    try:
        text = record_to_json(data)
    except RecordError:
        return
    assert isinstance(json.loads(text), dict)


class TestVectors:
    def test_fixtures(self, shared_data: Path) -> None:
        cases = load_json(shared_data / "vectors/atproto-interop-tests/data-model/data-model-fixtures.json")
        for case in cases:
            assert json.loads(record_to_json(base64_bytes(case["cbor_base64"]))) == case["json"]
        assert len(cases) == 3

    def test_valid(self, shared_data: Path) -> None:
        cases = load_json(shared_data / "vectors/atproto-interop-tests/data-model/data-model-valid.json")
        for case in cases:
            assert json.loads(record_to_json(block(case["json"]))) == case["json"], case["note"]
        assert len(cases) == 5

    def test_invalid(self, shared_data: Path) -> None:
        cases = load_json(shared_data / "vectors/atproto-interop-tests/data-model/data-model-invalid.json")
        for case in cases:
            refuse(case["json"])
        assert len(cases) == 12

    def test_links_and_bytes_are_the_same_in_either_form(self, shared_data: Path) -> None:
        for case in load_json(shared_data / "vectors/atproto-interop-tests/data-model/data-model-fixtures.json"):
            assert record_to_json(block(case["json"])) == record_to_json(base64_bytes(case["cbor_base64"]))
