"""The tables of the normalisation lab: their columns, and that they are what the library says."""

import numpy as np
import pandas as pd
import pytest
from conftest import small

import ffn
from ffn.attribution import Attribution
from ffn.pairing import compare_networks
from ffn.statistics import norm_parameters, running_statistics
from workbench import analysis, plots

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


def test_a_channel_gives_what_it_learned_where_it_sees_what_it_expects(results):
    model = small((4, 8), num_classes=2)
    table = analysis.channel_shifts(model, results, 2)
    layer = table[table.layer == "layer2.0.bn1"]
    held, seen = norm_parameters(model, 4)["layer2.0.bn1"], results[0].inputs["layer2.0.bn1"]
    np.testing.assert_array_equal(layer[["mean", "expected_mean"]], np.stack([seen.mean, held.mean], 1))
    out = held.bias + held.weight * (seen.mean - held.mean) / np.sqrt(held.variance)
    np.testing.assert_allclose(layer.mean_out, out)
    np.testing.assert_allclose(layer.deviation_out, abs(held.weight) * np.sqrt(seen.variance / held.variance))
    assert table.order.is_monotonic_increasing
    assert set(table.layer) == set(norm_parameters(model, 4))


def test_norms_without_statistics_expect_what_they_see_at_their_own_count(folder):
    model = small((4, 8), architecture="test_convnext", channels=None, num_classes=2)
    clips = ffn.Clips(folder, frames=(2, 4), preprocessing=ffn.Preprocessing(resize=36, crop=32))
    results = ffn.evaluate(model, clips)
    table = analysis.channel_shifts(model, results, 2)
    seen = results[1].inputs[table.layer[0]]
    np.testing.assert_array_equal(table[table.layer == table.layer[0]].expected_mean, seen.mean)
    assert table.mean_out.isna().all()
    assert len(plots.channel_shifts(table[table.layer == table.layer[0]]).data) == 4


def test_gains_are_points_over_the_baseline(folder):
    models = {"as trained": small((4, 8), num_classes=2), "other": small((4, 8), num_classes=2, seed=3)}
    clips = ffn.Clips(folder, frames=(2,), preprocessing=ffn.Preprocessing(resize=36, crop=32))
    found = compare_networks(models, clips)
    before, after = analysis.gains(found, 2).itertuples(index=False)
    assert (before.way, before.gained, before.gained_low, before.gained_high) == ("as trained", 0, 0, 0)
    assert after.gained == after.top1 - before.top1
    assert after.correct == found.right["other"][2].sum()
    said = analysis.transplanted(analysis.gains(found, 2))
    assert said.startswith(f"At 2 frames these norms change the accuracy by {after.gained:+.1f} points")


def test_the_share_of_the_gap_is_said_where_there_is_one():
    ends = {f"{name}{end}": 1.0 for name in ("gained", "share") for end in ("_low", "_high")}
    rows = [
        {"way": way, "num_frames": 4, "gained": gained, "share": share, **ends}
        for way, gained, share in (("recalibrated", 3.9, 21.3), ("separate", 18.1, 100.0))
    ]
    said = analysis.explained(pd.DataFrame(rows))
    assert "it loses 18.1 points" in said
    assert "it regains 3.9 of them, 21 % of it (1 to 1)" in said
    assert "there is no gap" in analysis.explained(pd.DataFrame(rows).assign(gained=-1.0))
    assert "cannot tell" in analysis.explained(pd.DataFrame(rows).assign(share_high=np.inf))


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
