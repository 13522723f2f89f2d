"""Values of structs and enums in Python."""

from __future__ import annotations

import copy
import pickle

import pytest
from ebpflab import Enumerator, Struct
from ebpflab.values import plain

FLOW = Struct("flow", {"port": 80, "action": Enumerator(7, "DROP"), "from": (Struct("", {"x": 1}),)})


def test_a_struct_is_a_frozen_mapping_with_attributes() -> None:
    assert (FLOW.port, FLOW["port"], list(FLOW), len(FLOW)) == (80, 80, ["port", "action", "from"], 3)
    assert repr(FLOW) == "flow(port=80, action=DROP, from=(struct(x=1),))"
    assert FLOW == {"port": 80, "action": 7, "from": ({"x": 1},)}
    assert hash(FLOW) == hash(Struct("flow", dict(FLOW)))
    with pytest.raises(AttributeError, match="frozen"):
        FLOW.port = 81
    with pytest.raises(AttributeError, match="flow has no member ports"):
        FLOW.ports  # noqa: B018
    assert {"port", "action"} <= set(dir(FLOW))


def test_an_enumerator_is_an_int_with_a_name() -> None:
    assert (Enumerator(7, "DROP") + 1, Enumerator(7, "DROP").name) == (8, "DROP")
    assert (repr(Enumerator(9, None)), Enumerator(9, None).name) == ("9", None)


def test_both_are_copied_and_pickled() -> None:
    for again in (pickle.loads(pickle.dumps(FLOW)), copy.deepcopy(FLOW)):  # noqa: S301
        assert again == FLOW
        assert again.action.name == "DROP"


def test_plain_values_have_no_classes_of_ours() -> None:
    assert plain(FLOW) == {"port": 80, "action": "DROP", "from": ({"x": 1},)}
    assert type(plain(FLOW)["from"][0]) is dict
