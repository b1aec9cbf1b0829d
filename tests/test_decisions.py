"""Decisions video by video, on sequences made by hand."""

import numpy as np
import pytest
from conftest import small
from scipy.stats import binomtest

import ffn
from ffn import Preprocessing
from ffn.decisions import (
    Decisions,
    class_counts,
    compare,
    confusion,
    confusion_difference,
    flips,
    mcnemar,
    reliability,
)
from ffn.evaluation import Result


def result(num_frames, predictions, labels, indices=None, classes=3, margin=2.0):
    logits = margin * np.eye(classes, dtype=np.float32)[predictions]
    indices = np.arange(len(labels)) if indices is None else np.array(indices)
    return Result(num_frames, 16, indices, np.array(labels), logits, {}, ())


LABELS = [0, 1, 2, 0]
ANSWERS = {4: [0, 0, 2, 1], 8: [0, 1, 1, 0], 16: [0, 1, 2, 1]}


@pytest.fixture
def decided():
    return Decisions.from_results([result(t, ANSWERS[t], LABELS) for t in (16, 4, 8)])


def test_answers_are_the_largest_logits_and_confidences_their_softmax(decided):
    assert decided.frames == (4, 8, 16)
    assert decided.predictions.tolist() == [*ANSWERS.values()]
    np.testing.assert_allclose(decided.confidences, np.exp(2) / (np.exp(2) + 2), rtol=1e-3)
    assert decided.num_classes == 3


def test_an_answer_is_stable_from_where_it_stays_to_the_end(decided):
    assert decided.stable_from().tolist() == [4, 8, 16, 16]
    assert decided.changes().tolist() == [0, 1, 2, 2]


def test_flips_name_their_videos(decided):
    found = flips(decided, 8, 16)
    assert (found.lost.tolist(), found.gained.tolist()) == ([3], [2])
    back = flips(decided, 16, 8)
    assert (back.lost.tolist(), back.gained.tolist()) == ([2], [3])
    assert flips(decided, 4, 4).lost.tolist() == []
    right = decided.correct.sum(1)
    assert right[2] - right[0] == len(flips(decided, 4, 16).gained) - len(flips(decided, 4, 16).lost)


def test_a_confusion_counts_every_video_and_a_difference_nobody(decided):
    assert confusion(decided, 4).tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert confusion(decided, 4).trace() == decided.correct[0].sum()
    difference = confusion_difference(decided, 4, 16)
    assert difference.tolist() == [[0, 0, 0], [-1, 1, 0], [0, 0, 0]]
    assert difference.sum() == 0
    assert (difference.sum(1) == 0).all()


def test_classes_are_counted(decided):
    right, clips = class_counts(decided)
    assert clips.tolist() == [2, 1, 1]
    assert right.tolist() == [[1, 0, 1], [2, 1, 0], [1, 1, 1]]


def with_confidences(confidences, correct):
    labels = np.zeros(len(correct), int)
    predictions = np.where(correct, 0, 1)[None]
    ranked = predictions[..., None], np.array([confidences])[..., None]
    return Decisions((4,), np.arange(len(correct)), labels, *ranked, 2)


def test_the_calibration_error_of_a_constructed_case():
    # Four answers at 0.9, three of them right; two at 0.6, none of them right: (4 * 0.15 + 2 * 0.6) / 6
    made = with_confidences([0.9] * 4 + [0.6] * 2, [True] * 3 + [False] * 3)
    found = reliability(made, 4)
    assert found.error == pytest.approx(0.3)
    assert len(found.edges) == 16
    assert found.clips.sum() == 6
    filled = found.clips > 0
    assert found.confidence[filled].tolist() == pytest.approx([0.6, 0.9])
    assert found.correct[filled].tolist() == [0, 3]
    assert np.isnan(found.confidence[~filled]).all()


def test_confidence_that_is_right_as_often_as_it_says_has_no_error():
    assert reliability(with_confidences([0.5, 0.5], [True, False]), 4).error == 0
    assert reliability(with_confidences([1.0], [True]), 4).error == 0
    assert reliability(with_confidences([], np.array([], bool)), 4).error == 0


def test_bins_are_closed_above():
    assert reliability(with_confidences([0.2, 0.4, 0.41], [True] * 3), 4, bins=5).clips.tolist() == [1, 1, 1, 0, 0]


def test_mcnemar_is_a_binomial_test_of_what_only_one_gets_right():
    first, second = np.array([True] * 9 + [False] * 3 + [True] * 5), np.array([False] * 9 + [True] * 8)
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (9, 3)
    assert found.p_value == pytest.approx(binomtest(9, 12).pvalue)
    assert mcnemar(first, first).p_value == 1
    with pytest.raises(ValueError, match="same videos, got 17 and 16"):
        mcnemar(first, second[1:])


def test_networks_are_compared_on_the_videos_that_both_have_seen(decided):
    other = Decisions.from_results([result(4, [2, 2, 1], [0, 2, 0], indices=[0, 2, 3])])
    found = compare(decided, other, 8, 4)
    assert (found.only_first, found.only_second) == (2, 1)
    strange = Decisions.from_results([result(4, [0], [1], indices=[0])])
    with pytest.raises(ValueError, match="different data"):
        compare(decided, strange, 4)


def test_only_videos_that_all_results_have_are_decided():
    some = result(8, [1, 2], [1, 2], indices=[1, 2])
    found = Decisions.from_results([result(4, ANSWERS[4], LABELS), some])
    assert found.indices.tolist() == [1, 2]
    assert found.predictions.tolist() == [[0, 2], [1, 2]]


def test_results_that_do_not_belong_together_are_refused(decided):
    with pytest.raises(ValueError, match=r"got results at \(\)"):
        Decisions.from_results([])
    with pytest.raises(ValueError, match=r"got results at \(4, 4\)"):
        Decisions.from_results([result(4, [0], [0])] * 2)
    with pytest.raises(ValueError, match="two labels"):
        Decisions.from_results([result(4, [0], [0]), result(8, [0], [1])])
    with pytest.raises(ValueError, match=r"no video that the results at \(4, 8\) frames all have"):
        Decisions.from_results([result(4, [0], [0]), result(8, [0], [0], indices=[1])])
    with pytest.raises(ValueError, match=r"no decisions at 5 frames, only at \(4, 8, 16\)"):
        confusion(decided, 5)


def test_decisions_are_those_of_an_evaluation_without_its_broken_videos(folder):
    (folder / "a" / "1.mp4").write_bytes(b"")
    clips = ffn.Clips(folder, frames=(4, 6), preprocessing=Preprocessing(resize=36, crop=32))
    results = ffn.evaluate(small((4, 8), num_classes=2), clips)
    found = Decisions.from_results(results)
    assert found.indices.tolist() == [0, 2, 3]
    assert found.correct.sum(1).tolist() == [r.correct for r in results]
