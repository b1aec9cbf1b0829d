"""What a network answers video by video as frames come and go; from results of `ffn.evaluate`, no pass of its own.

Shapes: T frame counts, N videos, K classes, R ranks, the 5 best answers (all where K is smaller).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from ffn.evaluation import Result

BINS = 15  # of equal width, as in Guo et al. 2017
RANKS = 5


@dataclass(frozen=True)
class Decisions:
    """The best answers for the same N videos at T frame counts, in increasing order."""

    frames: tuple[int, ...]
    indices: np.ndarray  # (N,) positions of the videos in the data, increasing
    labels: np.ndarray  # (N,)
    classes: np.ndarray  # (T, N, R), the most probable first
    probabilities: np.ndarray  # (T, N, R) their softmax, float16: 3 digits, so that a record says what a pass does
    num_classes: int

    @classmethod
    def from_results(cls, results: Sequence[Result]) -> "Decisions":
        """The answers of one network at several frame counts, for the videos that all results have.

        Raises:
            ValueError: for no results, two of one frame count, results of different data, or no video in all of them.
        """
        return cls.joined([cls._of(result) for result in results])

    @classmethod
    def _of(cls, result: Result) -> "Decisions":
        best = np.argsort(-result.logits, axis=-1, kind="stable")[:, :RANKS]  # ties as in argmax
        probabilities = np.take_along_axis(result.probabilities, best, -1).astype(np.float16)
        num_classes = result.logits.shape[1]
        kind = np.min_scalar_type(num_classes)
        about = (result.num_frames,), result.indices, result.labels
        return cls(*about, best[None].astype(kind), probabilities[None], num_classes)

    @classmethod
    def joined(cls, parts: Sequence["Decisions"]) -> "Decisions":
        """The answers of one network from several passes, for the videos that all of them have.

        Raises:
            ValueError: as `from_results`.
        """
        frames = tuple(t for part in parts for t in part.frames)
        if not frames or len(set(frames)) != len(frames):
            raise ValueError(f"decisions need one result per frame count, got results at {tuple(sorted(frames))}")
        indices = reduce(np.intersect1d, [part.indices for part in parts])
        if not len(indices):
            raise ValueError(f"there is no video that the results at {tuple(sorted(frames))} frames all have")
        places = [np.searchsorted(part.indices, indices) for part in parts]
        labels = np.stack([part.labels[place] for part, place in zip(parts, places, strict=True)])
        if (labels != labels[0]).any():
            raise ValueError("the results are of different data: a video has two labels")
        order = np.argsort(frames)
        classes, probabilities = (
            np.concatenate([getattr(part, name)[:, place] for part, place in zip(parts, places, strict=True)])[order]
            for name in ("classes", "probabilities")
        )
        counts = tuple(frames[i] for i in order)
        return cls(counts, indices, labels[0], classes, probabilities, parts[0].num_classes)

    @property
    def predictions(self) -> np.ndarray:
        """The classes (T, N) that are answered."""
        return self.classes[..., 0].astype(int)

    @property
    def confidences(self) -> np.ndarray:
        """Their softmax probabilities (T, N), float64."""
        return self.probabilities[..., 0].astype(float)

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
    return mcnemar(*right_of_both(first, second, num_frames, other_frames))


def right_of_both(
    first: Decisions, second: Decisions, num_frames: int, other_frames: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Whether the answers of two networks to the videos that both have seen are right, each (N,).

    Raises:
        ValueError: as `compare`.
    """
    _, here, there = np.intersect1d(first.indices, second.indices, assume_unique=True, return_indices=True)
    if (first.labels[here] != second.labels[there]).any():
        raise ValueError("the decisions are on different data: a video has two labels")
    other = second.place(num_frames if other_frames is None else other_frames)
    return first.correct[first.place(num_frames)][here], second.correct[other][there]
