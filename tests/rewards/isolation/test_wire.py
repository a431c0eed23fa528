import ast
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.isolation import child
from rewards.score import Score

TEXT = st.text(st.characters(exclude_categories=()))
SIMPLE = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.binary()
VALUES = st.recursive(
    SIMPLE,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(TEXT | st.sampled_from(["__int__", "__array__", ""]), inner)
        | st.dictionaries(st.integers() | st.tuples(TEXT), inner)
    ),
    max_leaves=8,
)


def sent(value):
    return child.decode(child.encode({"value": child.pack(value)}))["value"]


@settings(deadline=None)
@given(VALUES)
def test_a_value_arrives_as_it_was(value):
    # By what is printed, so that nan is nan, and 1 is neither 1.0 nor True.
    assert repr(sent(value)) == repr(value)


@pytest.mark.parametrize(
    "value", ["\ud83d\ude00", "\x00\x1b[31m\u202e", 10**5000, -(1 << 64), float("-inf"), -0.0], ids=type
)
def test_what_json_would_change_arrives_as_it_was(value):
    arrived = sent(value)
    assert arrived == value
    assert type(arrived) is type(value)


@pytest.mark.parametrize("dtype", ["u1", "<i8", ">f4", "f8", "c16", "?", "U3", "S2", "M8[s]", "f2"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3)])
def test_an_array_arrives_with_its_type_and_shape(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype("i8").astype(dtype)
    arrived = sent(array)
    assert arrived.dtype == array.dtype
    np.testing.assert_array_equal(arrived, array)
    assert arrived.flags.writeable


def test_a_view_of_an_array_arrives_as_what_it_shows():
    array = np.arange(24).reshape(4, 6)[::-2, 1::2]
    np.testing.assert_array_equal(sent([array])[0], array)


def test_a_result_is_plain_numbers():
    found = child.pack({"a": np.float32(0.5), "b": [np.arange(2)], "c": np.bool_(True)}, result=True)
    assert found == {"a": 0.5, "b": [[0, 1]], "c": True}


def test_a_score_is_a_result_with_all_its_fields():
    score = Score(np.float64(0.25), {"a": 1.0}, "note", "timeout")  # type: ignore[arg-type]
    assert Score(**child.pack(score, result=True)["__score__"]) == score


@dataclass
class _Record:
    field: int = 0


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({1}, "set"),
        ([1j], "complex"),
        ({"a": _Record()}, r".*test_wire\._Record"),
        (np.array([None]), r"numpy\.ndarray"),
    ],
)
def test_what_cannot_be_sent_is_named(value, named):
    with pytest.raises(TypeError, match=f"^{named}$"):
        child.pack(value)


def test_the_child_is_one_file_for_python_3_8_and_its_library():
    tree = ast.parse(Path(child.__file__).read_text(), feature_version=(3, 8))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in imports if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) == {"numpy"}
