"""The tables of the normalisation lab: their columns, and that they are what the library says."""

import numpy as np
import pytest
from conftest import small

import ffn
from ffn.attribution import Attribution
from ffn.statistics import norm_parameters, running_statistics
from workbench import analysis

PARAMETERS = ["mean", "variance", "weight", "bias"]


@pytest.fixture
def results(folder):
    clips = ffn.Clips(folder, frames=(2, 8), preprocessing=ffn.Preprocessing(resize=36, crop=32))
    return ffn.evaluate(small((4, 8), num_classes=2), clips)


def test_every_channel_has_a_row():
    model = small((4, 8))
    table = analysis.norm_channels({"FFN": model})
    assert list(table) == ["network", "branch", "stage", "layer", "order", "channel", *PARAMETERS]
    found = norm_parameters(model, 8)
    assert list(table[table.branch == 8].layer.unique()) == list(found)
    rows = table[(table.branch == 8) & (table.layer == "layer3.0.bn1")]
    assert rows.channel.tolist() == list(range(len(rows)))
    for name in PARAMETERS:
        np.testing.assert_array_equal(rows[name], getattr(found["layer3.0.bn1"], name))


def test_a_norm_is_summarised_by_the_mean_over_its_channels():
    models = {"FFN": small((4, 8)), "TSM": small((16,))}
    table, channels = analysis.norm_parameters(models), analysis.norm_channels(models)
    assert list(table) == ["network", "branch", "stage", "layer", "order", *PARAMETERS]
    assert len(table) == len(channels.drop_duplicates(["network", "branch", "layer"]))
    row = table[(table.network == "TSM") & (table.layer == "layer2.0.bn1")].iloc[0]
    of = channels[(channels.network == "TSM") & (channels.layer == "layer2.0.bn1")]
    assert row[PARAMETERS].tolist() == pytest.approx(of[PARAMETERS].mean().tolist())


def test_a_choice_of_norms_that_leaves_none_is_an_error():
    with pytest.raises(ValueError, match="stage layer9"):
        analysis.norm_parameters({"TSM": small((16,))}, stage="layer9")


def test_what_goes_into_norms_has_a_row_per_channel_or_norm_and_frame_count(results):
    channels, table = analysis.input_channels(results), analysis.norm_inputs(results)
    assert list(channels) == ["num_frames", "branch", "stage", "layer", "order", "channel", "mean", "variance"]
    assert list(table) == ["num_frames", "branch", "stage", "layer", "order", "mean", "variance"]
    assert table.num_frames.unique().tolist() == [2, 8]
    row = table[(table.num_frames == 2) & (table.layer == "bn1")].iloc[0]
    assert row["variance"] == pytest.approx(results[0].inputs["bn1"].variance.mean())


def test_networks_are_compared_at_their_nearest_branches():
    table = analysis.network_divergence(small((4, 16)), small((4, 8), seed=1))
    assert list(table) == ["branch", "reference", "layer", "order", *analysis.DIVERGENCES]
    assert table.drop_duplicates(["branch", "reference"])[["branch", "reference"]].values.tolist() == [[4, 4], [16, 8]]
    assert table.layer.nunique() == len(running_statistics(small((16,)).at(16, 16)))


def test_curves_of_several_networks_are_those_of_each_alone(folder):
    clips = ffn.Clips(folder, frames=(2, 8), preprocessing=ffn.Preprocessing(resize=36, crop=32))
    models = {"one": small((8,), num_classes=2), "other": small((4, 8), seed=1, num_classes=2)}
    table = analysis.curves(models, clips)
    assert list(table) == ["network", "num_frames", "branch", "correct", "clips", "top1", "low", "high"]
    for name, rows in table.groupby("network"):
        alone, _ = analysis.sweep(models[name], clips)
        assert rows.drop(columns="network").reset_index(drop=True).equals(alone)


def test_layers_are_listed_by_what_they_recover():
    before, some, all_ = np.arange(8) < 2, np.arange(8) < 4, np.arange(8) < 6
    found = Attribution(4, before, {"layer1.a": before, "layer2.b": some}, {"layer2.b": some, "layer1.a": all_})
    table = analysis.attribution(found)
    ends = [f"{name}{end}" for name in ("alone", "together") for end in ("", "_low", "_high")]
    assert list(table) == ["rank", "stage", "layer", "order", *ends]
    assert table[["rank", "stage", "layer", "order"]].values.tolist() == [
        [1, "layer2", "layer2.b", 1],
        [2, "layer1", "layer1.a", 0],
    ]
    assert table.alone.tolist() == [25, 0]
    assert table.together.tolist() == [25, 50]
    assert (table.alone_low <= table.alone).all()
