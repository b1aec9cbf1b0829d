"""Figures show what their tables say, in the order of the network, and say it in words too."""

import pandas as pd
import pytest
from conftest import small

from workbench import analysis, plots

ENDS = (("_low", -1), ("_high", 1))


@pytest.fixture
def accuracies() -> dict[str, pd.DataFrame]:
    def table(branches):
        rows = [{"num_frames": t, "branch": b, "correct": 10 * t, "clips": 200} for t, b in branches.items()]
        return analysis.accuracy(rows)

    return {"TSM": table({4: 16, 8: 16, 16: 16}), "FFN": table({4: 4, 8: 8, 16: 16})}


@pytest.fixture
def divergences() -> pd.DataFrame:
    layers = ("stem", "layer1.0.bn1", "layer1.0.bn2", "last")
    return analysis.divergence(
        {"num_frames": t, "branch": 16, "layer": layer, "mean_shift": i / t, "log_variance_ratio": i, "symmetric_kl": t}
        for t in (4, 8)
        for i, layer in enumerate(layers)
    )


def test_every_network_has_a_curve_with_its_accuracies(accuracies):
    figure = plots.accuracy_curves(accuracies, 8, "TSM")
    curves = {trace.name: trace for trace in figure.data if trace.name}
    assert list(curves) == ["TSM", "FFN"]
    assert list(curves["TSM"].x) == [4, 8, 16]
    assert list(curves["TSM"].y) == list(accuracies["TSM"].top1)


def test_the_chosen_frame_count_is_marked_on_the_highlighted_curve(accuracies):
    mark = plots.accuracy_curves(accuracies, 8, "TSM").data[-1]
    assert set(mark.x) == {8}
    assert mark.y[1] == pytest.approx(40)


def test_colours_stand_for_trained_counts(accuracies):
    curves = {trace.name: trace.line.color for trace in plots.accuracy_curves(accuracies).data}
    assert curves["TSM"] == plots.frame_colour(16)
    assert curves["FFN"] not in plots.COLOURS.values()
    assert plots.frame_colour(15) == plots.frame_colour(16)


def test_bars_stand_in_network_order(divergences):
    rows = divergences[divergences.num_frames == 4]
    figure = plots.divergence_bars(rows, "mean_shift")
    assert list(figure.data[0].x) == ["stem", "layer1.0.bn1", "layer1.0.bn2", "last"]
    assert list(figure.data[0].y) == [0, 0.25, 0.5, 0.75]
    assert "standard deviations" in figure.layout.yaxis.title.text


def test_bars_may_share_an_axis_across_frame_counts(divergences):
    ends = {plots.divergence_bars(rows, upper=3.0).layout.yaxis.range for _, rows in divergences.groupby("num_frames")}
    assert len(ends) == 1


def test_the_heatmap_has_layers_down_and_frames_across(divergences):
    heatmap = plots.divergence_heatmap(divergences, "mean_shift").data[0]
    assert list(heatmap.x) == ["4", "8"]
    assert heatmap.y[0] == "stem"
    assert heatmap.z.shape == (4, 2)


def test_branches_are_compared_with_the_longest():
    table = analysis.branch_divergence(small((4, 8, 16)))
    figure = plots.branch_divergence_lines(table, "symmetric_kl")
    assert [trace.name for trace in figure.data] == ["branch 4 from branch 16", "branch 8 from branch 16"]


def test_norm_parameters_are_four_small_charts_with_a_line_per_network_and_branch():
    figure = plots.norm_parameters(analysis.norm_parameters({"FFN": small((4, 8)), "TSM": small((16,))}))
    assert {trace.name for trace in figure.data} == {"FFN, branch 4", "FFN, branch 8", "TSM"}
    assert len(figure.data) == 4 * 3


def test_training_curves_have_a_line_per_stream():
    table = pd.DataFrame(
        {"epoch": [0, 0, 1, 1], "num_frames": [4, 8] * 2, "loss": [2, 3, 1, 2], "top1": [9, 9, 50, 60]}
    )
    figure = plots.training_curves(table)
    assert {trace.name for trace in figure.data} == {"4 frames", "8 frames"}
    assert len(figure.data) == 4


def test_the_matrix_of_training_and_testing_shows_its_numbers():
    table = pd.DataFrame({"trained": ["4", "4", "16", "16"], "num_frames": [4, 16] * 2, "top1": [80, 50, 40.0, 90]})
    figure = plots.train_test_matrix(table)
    assert figure.data[0].z.tolist() == [[80, 50], [40, 90]]
    assert "Lowest 40.0 % (trained 16, tested 4)" in plots.alt_text(figure)


def test_alternative_texts_carry_the_numbers(accuracies, divergences):
    assert "TSM at 8 frames, 40.0 %" in plots.alt_text(plots.accuracy_curves(accuracies, 8, "TSM"))
    assert "Largest: 0.75 in last at 4 frames" in plots.alt_text(
        plots.divergence_bars(divergences[divergences.num_frames == 4])
    )
    assert "0.75 in last at 4 frames; median 0.25" in plots.alt_text(plots.divergence_heatmap(divergences))


def test_nothing_known_yet_is_drawn_as_an_empty_chart():
    assert len(plots.divergence_bars(analysis.divergence([])).data[0].x) == 0
    assert plots.alt_text(plots.accuracy_curves({"TSM": analysis.accuracy([])}, 4, "TSM"))


def test_figures_3_10_and_11_of_the_paper_are_one_call_each():
    separate, flexible = {"4 frames": small((4,)), "16 frames": small((16,))}, small((4, 8, 16))
    stage = analysis.norm_parameters(separate, stage="layer4", shortcuts=False)
    assert not stage.layer.str.contains("downsample").any()
    assert stage.groupby("network").layer.nunique().tolist() == [4, 4]
    for parameters in (("mean", "variance"), ("weight", "bias")):
        figure = plots.norm_parameters(stage, parameters)
        assert [title.text for title in figure.layout.annotations] == [plots.PARAMETERS[name] for name in parameters]
        assert len(figure.data) == 2 * 2
        assert plots.PARAMETERS[parameters[0]] in plots.alt_text(figure)
    both = {"TSM": separate["16 frames"], "FFN": flexible}
    table = analysis.norm_parameters(both, branches=(16,), stage="layer4", shortcuts=False)
    assert {trace.name for trace in plots.norm_parameters(table).data} == {"TSM", "FFN"}


def test_what_goes_into_norms_is_drawn_against_frames():
    table = pd.DataFrame(
        {"num_frames": [4, 4, 8, 8], "branch": 8, "stage": "layer1", "layer": ["a", "b"] * 2, "order": [0, 1] * 2}
        | {"mean": [0.0, 1, 2, 3], "variance": [1.0, 1, 1, 4]}
    )
    figure = plots.norm_inputs(table)
    assert [trace.name for trace in figure.data] == ["a", "a", "b", "b"]
    assert list(figure.data[-1].y) == [1, 4]
    assert "in b, by a factor of 4.00" in plots.alt_text(figure)


def test_layers_are_drawn_in_the_order_of_what_they_recover():
    numbers = {"alone": [5.0, 1.0], "together": [5.0, 7.0]}
    ends = {
        f"{name}{end}": [value + step for value in values] for name, values in numbers.items() for end, step in ENDS
    }
    table = pd.DataFrame({"rank": [1, 2], "layer": ["b", "a"], **numbers, **ends})
    figure = plots.attribution_bars(table)
    assert [list(trace.x) for trace in figure.data] == [["b", "a"]] * 2
    assert list(figure.data[0].error_y.array) == [1, 1]
    assert list(figure.data[0].error_y.arrayminus) == [1, 1]
    assert "b alone recovers most, 5.0 points (4.0 to 6.0); all together recover 7.0" in plots.alt_text(figure)


def test_ways_to_answer_stand_side_by_side_at_each_count():
    table = pd.DataFrame({"num_frames": [4, 4], "way": ["as trained", "private"], "top1": [50.0, 80.0]})
    figure = plots.gap_bars(table.assign(top1_low=table.top1 - 2, top1_high=table.top1 + 2))
    assert [trace.name for trace in figure.data] == ["as trained", "private"]
    assert "at 4 frames as trained 50.0 %, private 80.0 %" in plots.alt_text(figure)


def test_every_way_to_answer_other_counts_has_a_curve_with_its_spread_over_seeds():
    right = {("nearest", 0, 6): 50, ("nearest", 1, 6): 60, ("nearest", 0, 10): 70, ("separate", 0, 6): 80}
    rows = [
        {"split": "test", "way": way, "seed": seed, "num_frames": t, "correct": correct, "clips": "100"}
        for (way, seed, t), correct in right.items()
    ]
    table = analysis.policies([*rows, {**rows[0], "split": "val"}])
    assert list(table) == ["way", "num_frames", "top1", "sd", "seeds"]
    assert table.top1.tolist() == [55, 70, 80]
    assert table.sd.fillna(-1).tolist() == pytest.approx([50**0.5, -1, -1])
    assert table.seeds.tolist() == [2, 1, 1]
    nearest, separate = plots.policy_curves(table).data
    assert (nearest.name, list(nearest.x), list(nearest.y)) == ("nearest", [6, 10], [55, 70])
    assert list(separate.error_y.array) == [0]
    assert "nearest 55.0 at 6, 70.0 at 10; separate 80.0 at 6." in plots.alt_text(plots.policy_curves(table))


def test_a_measure_that_was_not_recorded_is_an_empty_figure(divergences):
    for draw in (plots.divergence_heatmap, plots.divergence_bars):
        assert "not recorded" in plots.alt_text(draw(divergences, "wasserstein"))
