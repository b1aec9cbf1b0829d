"""Decisions as tables and figures: the columns, the videos by name, and what the figures say."""

import numpy as np
import pytest

import ffn
from ffn.decisions import Decisions
from ffn.evaluation import Result
from workbench import analysis, plots
from workbench.analysis.videos import about_videos

VIDEO = ["index", "path", "label", "class"]
ANSWERS = {4: [0, 0, 1], 8: [0, 1, 1], 16: [1, 1, 0]}  # of the videos 0, 2 and 3, whose labels are 0, 1, 1


def decided(answers=ANSWERS):
    def result(t, answer):
        logits = 2 * np.eye(2, dtype=np.float32)[answer]
        return Result(t, 16, np.array([0, 2, 3]), np.array([0, 1, 1]), logits, {}, ())

    return Decisions.from_results([result(t, answer) for t, answer in answers.items()])


@pytest.fixture
def clips(folder):
    return ffn.Clips(folder, frames=(4,), preprocessing=ffn.Preprocessing(resize=36, crop=32))


def test_every_video_has_a_row_per_frame_count_and_is_known_by_its_name(clips):
    table = analysis.decisions(decided(), clips)
    assert list(table) == [*VIDEO, "num_frames", "prediction", "predicted", "confidence", "correct"]
    assert len(table) == 9
    rows = table[table.num_frames == 8]
    assert rows["index"].tolist() == [0, 2, 3]
    assert rows.path.tolist() == ["a/0.mp4", "b/0.mp4", "b/1.mp4"]
    assert rows["class"].tolist() == ["a", "b", "b"]
    assert rows.predicted.tolist() == ["a", "b", "b"]
    assert rows.confidence.tolist() == pytest.approx([100 / (1 + np.exp(-2))] * 3, rel=1e-3)


def test_videos_of_a_manifest_are_named_relative_to_it(folder):
    (folder / "list.csv").write_text("path,label\na/0.mp4,a\nb/1.mp4,b\n")
    listed = ffn.Clips(folder / "list.csv", frames=(4,), preprocessing=ffn.Preprocessing(resize=36, crop=32))
    assert about_videos(listed, [1]).values.tolist() == [[1, "b/1.mp4", 1, "b"]]


def test_stability_is_that_of_the_library(clips):
    table = analysis.stability(decided(), clips)
    assert list(table) == [*VIDEO, "prediction", "predicted", "confidence", "correct", "stable_from", "changes"]
    assert table.stable_from.tolist() == [16, 8, 16]
    assert table.correct.tolist() == [False, True, False]
    figure = plots.stability_bars(table)
    assert {trace.name: list(trace.y) for trace in figure.data} == {
        "right in the end": pytest.approx([100 / 3, 0]),
        "wrong in the end": pytest.approx([0, 200 / 3]),
    }
    assert "33 % from 8, 67 % only at 16; 33 % are right in the end" in plots.alt_text(figure)
    assert plots.stability_bars(table[table.correct]).data[1].y.tolist() == [0]


def test_flips_name_the_videos_and_both_answers(clips):
    table = analysis.flips(decided(), 4, 16, clips)
    words = ["predicted_before", "predicted_after", "confidence_before", "confidence_after"]
    assert list(table) == [*VIDEO, "flip", *words]
    assert table[["path", "flip", "predicted_before", "predicted_after"]].values.tolist() == [
        ["a/0.mp4", "right to wrong", "a", "b"],
        ["b/1.mp4", "right to wrong", "b", "a"],
        ["b/0.mp4", "wrong to right", "a", "b"],
    ]
    assert list(analysis.flips(decided(), 4, 4, clips)) == list(table)


def test_flips_are_counted_against_a_reference():
    table = analysis.flip_counts(decided(), 8)
    assert list(table) == ["num_frames", "reference", "lost", "gained"]
    assert table[["lost", "gained"]].values.tolist() == [[1, 0], [0, 0], [2, 0]]
    figure = plots.flip_bars(table)
    assert [list(trace.y) for trace in figure.data] == [[0, 0, 0], [-1, 0, -2]]
    assert "at 16 frames: 2 videos, while 0 turn right" in plots.alt_text(figure)


def test_confusion_and_its_difference_are_grids_of_classes():
    table = analysis.confusion(decided(), 4, ["a", "b"])
    assert list(table) == ["class", "predicted", "clips"]
    figure = plots.confusion_heatmap(table)
    assert figure.data[0].z.tolist() == [[1, 0], [1, 1]]
    assert "2 of 3 videos are answered rightly" in plots.alt_text(figure)
    assert "b answered a, 1 video." in plots.alt_text(figure)
    change = analysis.confusion_difference(decided(), 4, 16, ["a", "b"])
    assert list(change) == ["class", "predicted", "difference"]
    assert change.difference.sum() == 0
    figure = plots.confusion_heatmap(change)
    assert figure.data[0].z.tolist() == [[-1, 1], [0, 0]]
    assert figure.data[0].zmin == -figure.data[0].zmax
    assert "a answered b, 1 video more" in plots.alt_text(figure)


def test_outputs_without_a_class_go_by_their_number():
    assert analysis.confusion(decided(), 4, ["a"]).predicted.tolist() == ["a", "1", "a", "1"]


def test_classes_deviate_from_the_reference():
    table = analysis.class_accuracy(decided(), 4, ["a", "b", "never seen"])
    columns = ["label", "class", "num_frames", "correct", "clips", "top1", "low", "high", "deviation"]
    assert list(table) == columns
    assert table[table.num_frames == 4].deviation.tolist() == [0, 0]
    assert table[table.num_frames == 8][["class", "deviation"]].values.tolist() == [["a", 0], ["b", 50]]
    figure = plots.class_deviation_bars(table, 16)
    assert list(figure.data[0].x) == ["a", "b"]
    assert "from -100.0 points (a) to +0.0 (b)" in plots.alt_text(figure)


def test_calibration_is_in_percent():
    table = analysis.calibration(decided())
    assert list(table) == ["num_frames", "ece", "confidence", "top1"]
    confidence = 100 / (1 + np.exp(-2))
    assert table.top1.tolist() == pytest.approx([200 / 3, 100, 100 / 3])
    assert table.ece.tolist() == pytest.approx([abs(confidence - top1) for top1 in table.top1], abs=0.05)
    figure = plots.calibration_curves({"TSM": table})
    assert list(figure.data[0].y) == table.ece.tolist()
    assert "TSM from 11.9 % to 54.8 %, at 16 frames" in plots.alt_text(figure)


def test_only_bins_with_answers_are_shown():
    table = analysis.reliability(decided(), 4)
    assert list(table) == ["above", "up_to", "confidence", "correct", "clips", "top1", "low", "high"]
    assert table[["correct", "clips"]].values.tolist() == [[2, 3]]
    assert table.above[0] < table.confidence[0] <= table.up_to[0]
    figure = plots.reliability_diagram(table)
    assert list(figure.data[1].y) == pytest.approx([200 / 3])
    assert "3 answers: confidence 88.1 % in the mean, 66.7 % right" in plots.alt_text(figure)


def test_networks_are_paired_where_both_have_decided():
    table = analysis.paired(decided(), decided({8: [0, 0, 0], 32: [0, 0, 0]}))
    assert list(table) == ["num_frames", "only_first", "only_second", "p_value"]
    assert table.values.tolist() == [[8, 2, 0, 0.5]]


def test_answers_at_two_counts_are_selected(clips):
    table = analysis.between(decided(), 4, 16, clips)
    words = ["predicted_before", "predicted_after", "confidence_before", "confidence_after"]
    assert list(table) == [*VIDEO, "flip", "stable_from", *words]
    for which, count in [("all videos", 3), ("right to wrong", 2), ("wrong to right", 1), ("wrong now", 2)]:
        assert len(analysis.select(table, which)) == count
    assert analysis.select(table, label="a", answer="b").path.tolist() == ["a/0.mp4"]
    assert analysis.select(table, confidence=(90, 100)).empty
    assert analysis.select(table, stable_from=(8, 8)).path.tolist() == ["b/0.mp4"]
    assert "3 of 3 videos get another answer: 2 turn from right to wrong, 1 from wrong" in analysis.turned(table, 4, 16)


def test_the_best_answers_to_a_video(clips):
    table = analysis.ranking(decided(), 2, clips.classes)
    assert list(table) == ["num_frames", "rank", "prediction", "predicted", "probability", "correct"]
    assert len(table) == 3 * 2
    assert table[table["rank"] == 1].predicted.tolist() == decided_names(2)
    assert table.groupby("num_frames").probability.sum().tolist() == pytest.approx([100] * 3, abs=0.1)
    with pytest.raises(ValueError, match="no answers to video 1"):
        analysis.ranking(decided(), 1, clips.classes)
    figure = plots.ranking_curves(table, 4, 16, "b")
    assert figure.data[0].name == "b (right)"
    assert "at 4 frames" in plots.alt_text(figure)


def decided_names(index):
    place = decided().indices.tolist().index(index)
    return ["ab"[k] for k in decided().predictions[:, place]]
