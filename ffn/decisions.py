"""What a network answers video by video as frames come and go; from results of `ffn.evaluate`, no pass of its own.

Shapes: T frame counts, N videos, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from ffn.evaluation import Result

BINS = 15  # of equal width, as in Guo et al. 2017


@dataclass(frozen=True)
class Decisions:
    """The answers for the same N videos at T frame counts, in increasing order."""

    frames: tuple[int, ...]
    indices: np.ndarray  # (N,) positions of the videos in the data, increasing
    labels: np.ndarray  # (N,)
    predictions: np.ndarray  # (T, N) classes
    confidences: np.ndarray  # (T, N) softmax probability of the predicted class
    num_classes: int

    @classmethod
    def from_results(cls, results: Sequence[Result]) -> "Decisions":
        """The answers of one network at several frame counts, for the videos that all results have.

        Raises:
            ValueError: for no results, two of one frame count, results of different data, or no video in all of them.
        """
        ordered = sorted(results, key=lambda result: result.num_frames)
        frames = tuple(result.num_frames for result in ordered)
        if not frames or len(set(frames)) != len(frames):
            raise ValueError(f"decisions need one result per frame count, got results at {frames}")
        indices = reduce(np.intersect1d, [result.indices for result in ordered])
        if not len(indices):
            raise ValueError(f"there is no video that the results at {frames} frames all have")
        places = [np.searchsorted(result.indices, indices) for result in ordered]
        labels = np.stack([result.labels[place] for result, place in zip(ordered, places, strict=True)])
        if (labels != labels[0]).any():
            raise ValueError("the results are of different data: a video has two labels")
        probabilities = [result.probabilities[place] for result, place in zip(ordered, places, strict=True)]
        return cls(
            frames=frames,
            indices=indices,
            labels=labels[0],
            predictions=np.stack([p.argmax(-1) for p in probabilities]),
            confidences=np.stack([p.max(-1) for p in probabilities]),
            num_classes=ordered[0].logits.shape[1],
        )

    @property
    def correct(self) -> np.ndarray:
        """Whether each answer is right (T, N)."""
        return self.predictions == self.labels

    def place(self, num_frames: int) -> int:
        """Where a frame count is among `frames`; `ValueError` where it is not."""
        if num_frames not in self.frames:
            raise ValueError(f"there are no decisions at {num_frames} frames, only at {self.frames}")
        return self.frames.index(num_frames)

    def stable_from(self) -> np.ndarray:
        """The first frame count (N,) from which the answer stays what it is at the largest."""
        as_last = (self.predictions == self.predictions[-1])[::-1]
        return np.array(self.frames)[np.logical_and.accumulate(as_last)[::-1].argmax(0)]

    def changes(self) -> np.ndarray:
        """How often (N,) the answer changes from one frame count to the next."""
        return (self.predictions[1:] != self.predictions[:-1]).sum(0)


@dataclass(frozen=True)
class Flips:
    """The videos, by position in the data, whose answer is right at one frame count and wrong at another."""

    before: int
    after: int
    lost: np.ndarray  # right before, wrong after
    gained: np.ndarray  # wrong before, right after


def flips(decisions: Decisions, before: int, after: int) -> Flips:
    """Which answers turn from right to wrong, and from wrong to right, between two frame counts."""
    was, now = (decisions.correct[decisions.place(t)] for t in (before, after))
    return Flips(before, after, decisions.indices[was & ~now], decisions.indices[~was & now])


def confusion(decisions: Decisions, num_frames: int) -> np.ndarray:
    """How many videos of each class (rows) get each answer (columns) at a frame count: (K, K)."""
    counts = np.zeros((decisions.num_classes, decisions.num_classes), int)
    np.add.at(counts, (decisions.labels, decisions.predictions[decisions.place(num_frames)]), 1)
    return counts


def confusion_difference(decisions: Decisions, before: int, after: int) -> np.ndarray:
    """How many videos more than at `before` frames get each answer at `after` (K, K); every row sums to 0."""
    return confusion(decisions, after) - confusion(decisions, before)


def class_counts(decisions: Decisions) -> tuple[np.ndarray, np.ndarray]:
    """How many videos of each class are right at each frame count (T, K), and how many there are (K,)."""
    right = [np.bincount(decisions.labels[row], minlength=decisions.num_classes) for row in decisions.correct]
    return np.stack(right), np.bincount(decisions.labels, minlength=decisions.num_classes)


@dataclass(frozen=True)
class Reliability:
    """Accuracy against confidence in bins of equal width, open below and closed above."""

    num_frames: int
    edges: np.ndarray  # (bins + 1,)
    clips: np.ndarray  # (bins,) how many answers
    correct: np.ndarray  # (bins,) how many of them are right
    confidence: np.ndarray  # (bins,) their mean confidence, NaN where there are none

    @property
    def error(self) -> float:
        """The expected calibration error, 0 to 1: mean |accuracy - confidence| over answers (Naeini et al. 2015)."""
        filled = self.clips > 0
        gaps = abs(self.correct[filled] - self.clips[filled] * self.confidence[filled])
        return float(gaps.sum() / max(1, self.clips.sum()))


def reliability(decisions: Decisions, num_frames: int, bins: int = BINS) -> Reliability:
    """How far the network's confidence can be taken at its word at a frame count (Guo et al. 2017)."""
    place = decisions.place(num_frames)
    confidences = decisions.confidences[place]
    which = (np.ceil(confidences * bins).astype(int) - 1).clip(0, bins - 1)
    clips, correct, total = (
        np.bincount(which, weights, minlength=bins) for weights in (None, decisions.correct[place], confidences)
    )
    confidence = np.divide(total, clips, out=np.full(bins, np.nan), where=clips > 0)
    return Reliability(num_frames, np.linspace(0, 1, bins + 1), clips, correct.astype(int), confidence)


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test of two classifiers on the same videos."""

    only_first: int  # videos that only the first gets right
    only_second: int
    p_value: float  # two-sided; 1 where both are right on the same videos


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """Whether two classifiers differ, from whether each was right on N videos (McNemar 1947): a binomial test.

    Raises:
        ValueError: for different numbers of videos.
    """
    from scipy.stats import binomtest

    if first.shape != second.shape:
        raise ValueError(f"McNemar's test is about the same videos, got {len(first)} and {len(second)}")
    ones, others = int((first & ~second).sum()), int((~first & second).sum())
    p_value = binomtest(ones, ones + others).pvalue if ones + others else 1.0
    return McNemar(ones, others, float(p_value))


def compare(first: Decisions, second: Decisions, num_frames: int, other_frames: int | None = None) -> McNemar:
    """`mcnemar` of two networks at a frame count each, by default the same, on the videos that both have seen.

    Raises:
        ValueError: for a frame count without decisions, or decisions on different data.
    """
    _, here, there = np.intersect1d(first.indices, second.indices, assume_unique=True, return_indices=True)
    if (first.labels[here] != second.labels[there]).any():
        raise ValueError("the decisions are on different data: a video has two labels")
    other = second.place(num_frames if other_frames is None else other_frames)
    return mcnemar(first.correct[first.place(num_frames)][here], second.correct[other][there])
