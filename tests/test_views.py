"""Every view's Python, run as it stands, makes the view's table and figure."""

from pathlib import Path

import pandas as pd
import pytest
from conftest import small

import ffn
from ffn.data import clips_for
from workbench import analysis, experiments, plots, views
from workbench.views import Origin, View

COUNTS = (1, 2, 4)
CARD = {"title": "A network", "classes": ["a", "b"], "input_size": 32, "resize": 36}


@pytest.fixture
def origin(tmp_path, folder) -> Origin:
    return _saved(tmp_path / "first.safetensors", folder)


def _saved(path: Path, folder: Path, title: str = "A network") -> Origin:
    ffn.save(small((2, 4), num_classes=2), path, {**CARD, "title": title})
    return Origin(title, path, folder)


def all_views(origin: Origin) -> dict[str, View]:
    model = ffn.load(origin.checkpoint)
    accuracy, divergence = analysis.sweep(model, clips_for(model.card, origin.data, COUNTS))
    other = _saved(origin.checkpoint.with_name("second.safetensors"), origin.data, "Another")
    held = analysis.norm_parameters({"A network": model, "Another": ffn.load(other.checkpoint)})
    shown = [
        views.accuracy(origin, {"A network": accuracy}, 2),
        views.divergence(origin, divergence, 1, "wasserstein"),
        views.shifts(origin, divergence, "mean_shift"),
        views.branches(origin, analysis.branch_divergence(model), "mean_shift"),
        views.norms(origin, held, other),
        *of_norms(origin, model, other),
    ]
    return {view.key: view for view in shown}


def of_norms(origin: Origin, model: ffn.FrameFlexible, beside: Origin) -> list[View]:
    other, data = ffn.load(beside.checkpoint), origin.data
    found = experiments.recalibration(model, data, data, 1, other, other)
    seen = experiments.channels(model, data, 1, "recalibrate", data)
    return [
        *views.experiment(origin, found, 1, beside, beside),
        views.channels(origin, seen, "layer1.0.bn1", 1, "recalibrate"),
        views.networks(origin, analysis.network_divergence(model, other), "mean_shift", beside),
        views.transplant(
            origin,
            experiments.transplantation(model, other, data, 1, 4, "layer2", ("affine",)),
            1,
            beside,
            4,
            "layer2",
            ("affine",),
        ),
    ]


def test_the_python_of_a_view_makes_its_table_and_figure(origin):
    for view in all_views(origin).values():
        made = {}
        exec(view.python, made)
        pd.testing.assert_frame_equal(made["table"].reset_index(drop=True), view.table.reset_index(drop=True))
        assert made["figure"].to_json() == view.figure.to_json(), view.key
        assert plots.alt_text(view.figure)


def test_no_two_views_share_a_key(origin):
    keys = [name for name in views.__all__ if name not in ("Origin", "View", "experiment")]
    assert set(keys) <= all_views(origin).keys()
