"""Stored values: what is read is what was written, to the last type, and nothing is unpickled."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from conftest import small

import ffn
from ffn.evaluation import Result
from ffn.pairing import Estimate
from workbench.stored import read, write


def there_and_back(path, value):
    write(path / "value.npz", value)
    return read(path / "value.npz")


def assert_same(one, other):
    """Equal values, of equal types at every depth."""
    assert type(one) is type(other)
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True, check_column_type="exact")
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other, strict=True)
    elif isinstance(one, dict):
        for pair, others in zip(one.items(), other.items(), strict=True):
            assert_same(pair, others)
    elif isinstance(one, list | tuple):
        for item, others in zip(one, other, strict=True):
            assert_same(item, others)
    elif hasattr(one, "__dataclass_fields__"):
        assert_same(vars(one), vars(other))
    else:
        assert one == other or (one != one and other != other)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, 0.1, float("nan"), -float("inf"), "a \N{GREEK SMALL LETTER SIGMA}"),
        *(np.float32(0.1), np.int64(7), np.arange(6, dtype=np.int16).reshape(2, 3), np.zeros((0, 4), np.float32)),
        {1: "a", (2, "b"): [3, (4.0, None)]},
        [Estimate(0.5, -float("inf"), float("nan"))],
        pd.DataFrame({"layer": ["a", None], "t": [1, 2], "x": np.array([1, np.nan], np.float32), "ok": [True, False]}),
        pd.DataFrame({"path": pd.Series(["a", "b"], dtype="object")}),
        pd.DataFrame([], columns=["num_frames", "layer"]),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": ["x"]})),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_come_back_as_they_were(tmp_path, value):
    assert_same(there_and_back(tmp_path, value), value)


def test_results_come_back_with_everything_in_them(tmp_path, folder):
    clips = ffn.Clips(folder, frames=(2, 8), preprocessing=ffn.Preprocessing(resize=36, crop=32))
    results = ffn.evaluate(small((4, 8), num_classes=2), clips)
    assert isinstance(results[0], Result)
    assert_same(there_and_back(tmp_path, results), results)


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (print, "builtin_function_or_method cannot be stored"),
        (np.array([{}]), "ndarray cannot be stored"),
        (pd.DataFrame({"a": [1, 2]}, index=["x", "y"]), "index cannot be stored; call reset_index"),
        (pd.DataFrame({"a": [1, "b"]}), "column a of a table is neither numbers nor text"),
    ],
)
def test_what_would_not_come_back_is_refused(tmp_path, value, wrong):
    with pytest.raises(ValueError, match=wrong):
        write(tmp_path / "value.npz", value)
    assert not [*tmp_path.iterdir()]


def test_only_records_of_this_project_are_made(tmp_path):
    packed = '["record", ["subprocess", "Popen", {"args": ["plain", "ls"]}]]'
    np.savez(tmp_path / "value.npz", packed=np.array(packed))
    with pytest.raises(ValueError, match=r"subprocess\.Popen is no record of this project"):
        read(tmp_path / "value.npz")


def test_nothing_is_unpickled(tmp_path):
    np.savez(tmp_path / "value.npz", packed=np.array([partial(print)], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read(tmp_path / "value.npz")
