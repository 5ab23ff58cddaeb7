"""The published snapshot: nothing but JSON, all of it required, every object of it offered by name."""

from __future__ import annotations

import json
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from edgerelay.api import snapshot as module
from edgerelay.api.snapshot import Snapshot
from tests.snapshots import snapshot

OBJECTS = [getattr(module, name) for name in module.__all__]


def conforms(value: object, hint: Any) -> bool:
    """Tell whether a value that was read from JSON is what a type says, to the last field."""
    if is_typeddict(hint):
        hints = get_type_hints(hint)
        return (
            isinstance(value, dict)
            and value.keys() == hints.keys()
            and all(conforms(value[name], hints[name]) for name in hints)
        )
    if get_origin(hint) is list:
        return isinstance(value, list) and all(conforms(each, *get_args(hint)) for each in value)
    if get_origin(hint) is dict:
        key, inner = get_args(hint)
        return key is str and isinstance(value, dict) and all(conforms(each, inner) for each in value.values())
    return hint in (str, int, float, bool) and type(value) is hint


@pytest.mark.parametrize("each", OBJECTS, ids=lambda each: each.__name__)
def test_an_object_is_a_typed_dict_that_lacks_nothing(each: Any) -> None:
    assert is_typeddict(each)
    assert each.__required_keys__ == get_type_hints(each).keys()
    assert not each.__optional_keys__


def test_a_snapshot_is_the_same_after_it_crossed_as_json() -> None:
    taken = snapshot(pauses=["skew"], last_problem="a problem")
    crossed = json.loads(json.dumps(taken))
    assert crossed == taken
    assert conforms(crossed, Snapshot)


@pytest.mark.parametrize("name", get_type_hints(Snapshot))
def test_a_snapshot_without_a_field_is_none(name: str) -> None:
    crossed = json.loads(json.dumps(snapshot()))
    del crossed[name]
    assert not conforms(crossed, Snapshot)
