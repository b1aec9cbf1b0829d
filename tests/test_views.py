"""Every view's Python, run as it stands, makes the view's table and figure."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from conftest import small

import ffn
from ffn.data import clips_for
from ffn.files import write_csv
from workbench import analysis, budgets, experiments, extraction, passes, plots, views
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
        *of_costs_and_comparisons(origin, model, other),
        *of_representations(origin, model, other),
        *of_one_video(origin, model),
        *of_videos(origin, model),
        *of_a_run(origin),
    ]
    by_key = {view.key: view for view in shown}
    assert len(by_key) == len(shown), "two views share a key"
    return by_key


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


def of_videos(origin: Origin, model: ffn.FrameFlexible) -> list[View]:
    clips, counts = clips_for(model.card, origin.data, COUNTS), (4, 1)
    plain = ffn.Decisions.from_results(ffn.evaluate(model, clips))
    by_policy = ffn.Decisions.from_results(ffn.evaluate(model, clips, policy="recalibrate", calibration=clips))
    recalibrated = replace(origin, policy="recalibrate")
    return [
        views.stability(origin, plain, clips),
        views.flips(replace(origin, policy="interpolate"), interpolated(model, clips), 4),
        views.ranking(origin, plain, 2, clips, num_frames=1, other=4),
        views.confusion(recalibrated, by_policy, 1, clips.classes),
        views.confusion_change(origin, plain, *counts, clips.classes),
        views.class_deviation(origin, plain, *counts, clips.classes),
        views.reliability(origin, plain, 2),
        views.calibration(origin, plain),
    ]


def interpolated(model: ffn.FrameFlexible, clips: ffn.Clips) -> ffn.Decisions:
    return ffn.Decisions.from_results(ffn.evaluate(model, clips, policy="interpolate"))


def of_representations(origin: Origin, model: ffn.FrameFlexible, beside: Origin) -> list[View]:
    clips = clips_for(model.card, origin.data, COUNTS)
    features = extraction.features(model, origin.data, COUNTS)
    others = extraction.features(ffn.load(beside.checkpoint), origin.data, COUNTS)
    similarity = analysis.similarity(features)
    return [
        views.embedding(origin, analysis.components(features, "pooled", clips), "pooled", 1),
        views.side_by_side(origin, analysis.maps(features, "pooled", 4, clips), "pooled", 1, 4, 4),
        views.similarity_frames(origin, similarity, "pooled"),
        views.similarity_curves(origin, similarity, 4),
        views.similarity_layers(origin, similarity, 1, 4),
        views.similarity_networks(origin, analysis.similarity(features, others), 1, beside),
        views.probes(origin, analysis.probes(passes.probe(*features.halves(), 4)), 4),
    ]


def of_costs_and_comparisons(origin: Origin, model: ffn.FrameFlexible, beside: Origin) -> list[View]:
    networks = {origin.title: model, beside.title: ffn.load(beside.checkpoint)}
    results = {title: ffn.evaluate(m, clips_for(m.card, origin.data, COUNTS)) for title, m in networks.items()}
    accuracies = {title: analysis.accuracy(r.accuracy_row() for r in found) for title, found in results.items()}
    decisions = {title: ffn.Decisions.from_results(found) for title, found in results.items()}
    table = analysis.trade_offs(accuracies, analysis.prices(networks, COUNTS), "memory")
    return [
        views.trade_off(origin, [beside], table, "memory", 2, 0.5),
        views.adaptive(origin, budgets.adaptive(model, origin.data, origin.data)),
        views.compared(origin, [beside], accuracies, 2),
        views.differences(origin, [beside], analysis.differences(decisions, origin.title)),
        views.storage(origin, [beside], analysis.storage(networks)),
    ]


def of_one_video(origin: Origin, model: ffn.FrameFlexible) -> list[View]:
    video = str(origin.data / "a" / "0.mp4")
    answering = ffn.any_frame(model, range(1, 5), "interpolate")
    return [
        views.answers(origin, video, analysis.answers(answering, video, range(1, 5)), 3, "a", "interpolate"),
        views.arrivals(origin, video, analysis.arrivals(model, video), "a"),
        views.passes(origin, video, analysis.passes(model, video, (2, 4)), 80),
    ]


def of_a_run(origin: Origin) -> list[View]:
    path = origin.data.parent / "rows.csv"
    rows = [{"epoch": i, "loss_4": 1 / i, "train_4": 30.0 * i, "val_2": 10.0 * i, "val_4": 20.0 * i} for i in (1, 2)]
    write_csv(path, rows)
    table = analysis.epochs(path)
    return [views.learning(path, table), views.validation(path, table, (4,))]


def test_the_python_of_a_view_makes_its_table_and_figure(origin):
    for view in all_views(origin).values():
        made = {}
        exec(view.python, made)
        pd.testing.assert_frame_equal(made["table"].reset_index(drop=True), view.table.reset_index(drop=True))
        assert made["figure"].to_json() == view.figure.to_json(), view.key
        assert plots.alt_text(view.figure)
