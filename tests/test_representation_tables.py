"""Representations as tables and figures: the columns, the same numbers as the library's, and what the figures say."""

import numpy as np
import pytest

import ffn
from ffn.features import Features
from ffn.probing import Probe
from ffn.similarity import cka
from workbench import analysis, plots

FRAMES = (4, 8, 16)
LAYERS = ("early", "late")


def features(seed=0, videos=4):
    rng = np.random.default_rng(seed)
    values = {(t, layer): rng.normal(size=(videos, 3)).astype(np.float32) for t in FRAMES for layer in LAYERS}
    return Features(LAYERS, FRAMES, np.arange(videos), np.arange(videos) // 2, values, ())


@pytest.fixture
def clips(folder):
    return ffn.Clips(folder, frames=FRAMES, preprocessing=ffn.Preprocessing(resize=36, crop=32))


def test_similarity_has_a_row_per_pair_of_layers_and_frame_counts():
    first, second = features(videos=6), features(1, videos=5)
    table = analysis.similarity(first, second)
    names = ["layer", "order", "num_frames", "other_layer", "other_order", "other_frames", "cka"]
    assert list(table) == names
    assert len(table) == 36
    row = table[(table.layer == "late") & (table.num_frames == 8) & (table.other_layer == "early")].iloc[2]
    assert row.cka == pytest.approx(cka(first.at(8, "late")[:5], second.at(row.other_frames, "early")))
    own = analysis.similarity(first)
    assert (own[(own.layer == own.other_layer) & (own.num_frames == own.other_frames)].cka == 1).all()


def test_similarity_is_drawn_by_frames_by_layers_and_as_curves():
    table = analysis.similarity(features(videos=20))
    by_frames = plots.similarity_heatmap(table[(table.layer == "late") & (table.other_layer == "late")])
    assert by_frames.data[0].z.shape == (3, 3)
    assert by_frames.data[0].z.diagonal().tolist() == [1, 1, 1]
    by_layer = plots.similarity_heatmap(table[(table.num_frames == 4) & (table.other_frames == 16)], by="layer")
    assert list(by_layer.data[0].y) == list(LAYERS)
    assert "Linear CKA between 2 and 2 layers. Least alike:" in plots.alt_text(by_layer)
    curves = plots.similarity_curves(table, 16)
    assert [trace.name for trace in curves.data] == list(LAYERS)
    assert [trace.y[-1] for trace in curves.data] == [1, 1]
    assert "2 layers with themselves at 16 frames" in plots.alt_text(curves)


def test_components_share_their_axes(clips):
    table = analysis.components(features(), "late", clips)
    assert list(table) == ["index", "path", "label", "class", "num_frames", "x", "y", "x_share", "y_share"]
    assert table[table.num_frames == 8].path.tolist() == ["a/0.mp4", "a/1.mp4", "b/0.mp4", "b/1.mp4"]
    assert 0 < table.y_share[0] < table.x_share[0] < 100
    figure = plots.embedding(table)
    assert len(figure.data) == len(FRAMES) * 2
    assert [trace.name for trace in figure.data if trace.showlegend] == ["a", "b"]
    assert figure.layout.xaxis2.matches == "x"
    assert "component 1" in figure.layout.xaxis.title.text
    assert "4 videos of 2 classes at 4, 8, 16 frames" in plots.alt_text(figure)


def test_videos_keep_their_points_while_frame_counts_are_played(clips):
    table = analysis.components(features(), "late", clips)
    figure = plots.embedding_over_frames(table, 8)
    assert [frame.name for frame in figure.frames] == ["4", "8", "16"]
    for shown, frame in zip(figure.data, figure.frames[1].data, strict=True):
        assert shown.name == frame.name
        assert shown.customdata.tolist() == frame.customdata.tolist()
        np.testing.assert_array_equal(shown.x, frame.x)
    (low, high) = figure.layout.xaxis.range
    assert low < table.x.min() < table.x.max() < high
    assert figure.layout.sliders[0].active == 1
    assert "4 videos of 2 classes" in plots.alt_text(figure)


def test_maps_are_aligned_to_the_reference(clips):
    table = analysis.maps(features(), "late", 16, clips)
    assert list(table) == ["index", "path", "label", "class", "num_frames", "x", "y", "disparity"]
    assert table.groupby("num_frames").disparity.first()[16] == pytest.approx(0, abs=1e-9)
    assert "t-SNE" in plots.embedding(table).layout.xaxis.title.text


def test_probes_have_intervals_and_a_curve_per_layer_and_way():
    found = [
        Probe(layer, trained_at, t, 10 * (k + 1), 40)
        for layer in LAYERS
        for k, (trained_at, t) in enumerate([(16, 4), (4, 4), (16, 16)])
    ]
    table = analysis.probes(found)
    assert list(table) == ["layer", "order", "trained_at", "num_frames", "correct", "clips", "top1", "low", "high"]
    assert table.order.tolist() == [0, 0, 0, 1, 1, 1]
    assert ((table.low < table.top1) & (table.top1 < table.high)).all()
    figure = plots.probe_curves(table, 16)
    curves = {trace.name: (list(trace.x), list(trace.y)) for trace in figure.data}
    assert curves["late, fitted there"] == ([4, 16], [50, 75])
    assert curves["late, fitted at 16"] == ([4, 16], [25, 75])
    assert "At 4 frames, in late: 50.0 % fitted there, 25.0 % fitted at 16" in plots.alt_text(figure)
