"""What is remembered: exactly what would be computed, found again for the same content and code, and for no other."""

import os
from collections.abc import Callable, Mapping
from inspect import isfunction, signature

import pandas as pd
import pytest
from conftest import small
from test_stored import assert_same

import ffn
from ffn.attribution import attribute
from ffn.data import clips_for
from workbench import analysis, experiments, passes, remembered, stored

CARD = {"num_classes": 2, "classes": ["a", "b"], "input_size": 32, "resize": 36}
FUNCTIONS = {
    name: function
    for room in (analysis, passes, experiments)
    for name, function in vars(room).items()
    if isfunction(function) and hasattr(function, "__wrapped__")
    if function.__code__.co_filename == remembered.__file__
}


@pytest.fixture
def model():
    return small((4, 8), num_classes=2)


@pytest.fixture
def given(folder, model) -> Mapping[str, Callable[[], tuple]]:
    """What each function is called with, made anew at every call."""

    def clips(*frames):
        return clips_for(CARD, folder, frames)

    def features():
        return ffn.extract_features(model, clips(4, 8))

    def results():
        return ffn.evaluate(model, clips(4, 8))

    return {
        "sweep": lambda: (model, clips(2, 8)),
        "curves": lambda: ({"one": model, "other": small((8,), seed=1, num_classes=2)}, clips(2, 8)),
        "budget": lambda: (model, results(), results()),
        "attribution": lambda: (attribute(model, small((4, 8), seed=1, num_classes=2), clips(4), 4),),
        "similarity": lambda: (features(),),
        "components": lambda: (features(), "pooled", clips(4)),
        "maps": lambda: (features(), "pooled", 8, clips(4)),
        "evaluate": lambda: (model, clips(2, 8)),
        "extract_features": lambda: (model, clips(4, 8)),
        "attribute": lambda: (model, small((4, 8), seed=1, num_classes=2), clips(4), 4),
        "probe": lambda: (features(), features(), 8),
        "costs": lambda: (model, (2, 8)),
        "_recalibration": lambda: (model, model, small((4,), num_classes=2), clips(4, 8), clips(4, 8), clips(4)),
        "_gains": lambda: ({"as trained": model, "transplanted": model}, clips(4)),
    }


def quietly(function: Callable) -> dict[str, None]:
    """What says where the work is, for those that must be told."""
    stage = signature(function).parameters.get("stage")
    return {"stage": None} if stage and stage.default is stage.empty else {}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_remembered_is_what_is_computed(name, given, monkeypatch):
    function, quiet = FUNCTIONS[name], quietly(FUNCTIONS[name])
    computed = function.__wrapped__(*given[name](), **quiet)
    assert_same(function(*given[name](), **quiet), computed)
    monkeypatch.setattr(remembered, "write", None)  # nothing is computed from here on
    assert_same(function(*given[name](), **quiet), computed)


def test_what_is_remembered_takes_no_pass(model, folder, decoded):
    steps = []
    for _ in range(2):
        analysis.sweep(model, clips_for(CARD, folder, (2, 8)), progress=lambda *step: steps.append(step))
    assert sorted(decoded) == sorted(folder.rglob("*.mp4"))
    assert steps == [(4, 4)]


def test_an_experiment_survives_a_restart(model, folder, decoded):
    model.card = {**model.config, **CARD}
    first = experiments.recalibration(model, folder, folder, 2)
    count = len(decoded)
    assert count
    ffn.save(model, folder.parent / "model.safetensors")
    assert_same(experiments.recalibration(ffn.load(folder.parent / "model.safetensors"), folder, folder, 2), first)
    assert len(decoded) == count


@pytest.fixture
def counted() -> Callable[..., int]:
    """A remembered function of anything, which counts how often it has been computed."""
    calls = []

    @remembered.remembered
    def table(*things, options=(), progress=None) -> pd.DataFrame:
        calls.append(things)
        return pd.DataFrame({"calls": [len(calls)]})

    return lambda *things, **how: int(table(*things, **how).calls.iloc[0])


def test_other_content_is_computed_anew(counted, folder):
    clips = clips_for(CARD, folder, (2,))
    assert [counted(clips), counted(clips), counted(clips_for(CARD, folder, (4,)))] == [1, 1, 2]
    assert [counted(clips, options="a"), counted(clips, options=()), counted(clips, progress=print)] == [3, 1, 1]


def test_other_code_is_computed_anew(tmp_path, monkeypatch):
    codes = [remembered._code()]
    monkeypatch.setattr(remembered, "PACKAGES", ("torch",))
    codes.append(remembered._code())
    monkeypatch.setattr(ffn, "__file__", str(tmp_path / "__init__.py"))
    for line in ("x = 1", "x = 2"):
        (tmp_path / "model.py").write_text(line)
        codes.append(remembered._code())
    assert len(set(codes)) == 4


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-40], lambda content: b"x" * 99])
def test_a_damaged_file_counts_as_missing(counted, damage):
    assert counted(1) == 1
    (path,) = remembered.folder().iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert [counted(1), counted(1)] == [2, 2]


def test_nothing_is_remembered_of_what_was_cancelled(model, folder):
    def cancel(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analysis.sweep(model, clips_for(CARD, folder, (2,)), progress=cancel)
    assert not remembered.folder().exists()


def test_arguments_without_content_and_disks_without_room_are_no_error(counted, monkeypatch):
    def full(path):
        raise OSError("the disk is full")

    assert [counted(print), counted(print)] == [1, 2]
    monkeypatch.setattr(stored, "replacing", full)
    assert [counted(1), counted(1)] == [3, 4]


def test_what_was_used_longest_ago_goes_first(counted, monkeypatch):
    assert [counted(i) for i in range(3)] == [1, 2, 3]
    paths = sorted(remembered.folder().iterdir(), key=lambda path: path.stat().st_mtime_ns)
    for age, path in enumerate(reversed(paths)):
        os.utime(path, (0, 1000 - age))
    assert counted(0) == 1  # is now the latest
    monkeypatch.setattr(remembered, "LIMIT", 3 * paths[0].stat().st_size)
    assert counted(3) == 4
    assert [counted(0), counted(2), counted(3)] == [1, 3, 4]
    assert counted(1) == 5
