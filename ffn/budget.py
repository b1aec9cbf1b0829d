"""An adaptive frame budget: look at few frames, stop when sure, else look at more. Every pass that is made counts.

After each pass the answer is the mean of the class probabilities of all passes so far, since they are paid for, and a
video is done once the highest of them reaches the threshold of that pass. Counts and thresholds are chosen from the
predictions that `evaluate` made of validation videos; no network runs for it.

Shapes: N videos, S passes, K classes, P policies.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import inf
from pathlib import Path

import numpy as np
import torch

from ffn.checkpoint import preprocessing
from ffn.costs import cost
from ffn.evaluation import Result
from ffn.footage import Footage, Reader
from ffn.layers import check_frames
from ffn.model import FrameFlexible
from ffn.progress import Progress


@dataclass(frozen=True)
class Policy:
    """The frame counts to try in turn, and the probability of the top class at which each but the last is enough.

    A threshold of 0 always stops there, one above 1 never does.
    """

    counts: tuple[int, ...]  # increasing
    thresholds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_frames(self.counts)
        if len(self.thresholds) != len(self.counts) - 1:
            raise ValueError(f"the counts {self.counts} need {len(self.counts) - 1} thresholds, got {self.thresholds}")


@dataclass(frozen=True)
class Outcome:
    """What a policy gives on a set of videos."""

    policy: Policy
    clips: int
    correct: int
    macs: float  # mean per clip, of all passes made
    frames: float  # mean per clip, of all passes made: 4, then 8, then 16 are 28
    shares: tuple[float, ...]  # of the clips, by the pass they stop at


@dataclass(frozen=True)
class Recorded:
    """What a network says of the same videos at several frame counts, and what each pass costs."""

    counts: tuple[int, ...]  # increasing
    macs: tuple[int, ...]  # of one clip, by count
    probabilities: np.ndarray  # (S, N, K)
    labels: np.ndarray  # (N,)


def recorded(model: FrameFlexible, results: Sequence[Result]) -> Recorded:
    """The predictions of `evaluate` together with the MACs of `cost`.

    Raises:
        ValueError: when there is no prediction.
    """
    if not results or not results[0].clips:
        raise ValueError("there are no predictions to choose a budget by: evaluate at least one readable video")
    results = sorted(results, key=lambda result: result.num_frames)
    return Recorded(
        counts=tuple(result.num_frames for result in results),
        macs=tuple(cost(model, result.num_frames).macs for result in results),
        probabilities=np.stack([result.probabilities for result in results]),
        labels=results[0].labels,
    )


def outcome(policy: Policy, videos: Recorded) -> Outcome:
    """What `policy` gives on recorded videos, as running it would (`AdaptiveClassifier`).

    Raises:
        ValueError: when one of its counts was not recorded.
    """
    if unknown := [t for t in policy.counts if t not in videos.counts]:
        raise ValueError(f"nothing is recorded at {unknown[0]} frames; recorded are {videos.counts}")
    return _Passes(videos, policy.counts).outcome(policy.thresholds)


def frontier(videos: Recorded, *, passes: int = 3, levels: int = 24, progress: Progress | None = None) -> list[Outcome]:
    """The policies that no other is better than, at the same or a lower cost: from the cheapest to the most accurate.

    All sequences of up to `passes` of the recorded counts are tried, single counts included, with all combinations of
    `levels` - 1 thresholds per pass, which cut the confidences there into `levels` equal parts. `progress` is called
    with (sequences done, sequences in all); an exception that it raises cancels the search.

    Raises:
        ValueError: without a pass, or a threshold to try.
    """
    if passes < 1 or levels < 2:
        raise ValueError(f"the search needs at least 1 pass and 2 levels, got {passes} and {levels}")
    sequences = [counts for size in range(1, passes + 1) for counts in combinations(videos.counts, size)]
    found: list[Outcome] = []
    for done, counts in enumerate(sequences, start=1):
        found += _Passes(videos, counts).best(levels)
        if progress:
            progress(done, len(sequences))
    return [found[place] for place in front([o.macs for o in found], [o.correct for o in found])]


def choose(outcomes: Sequence[Outcome], budget: float) -> Outcome:
    """The most accurate of the outcomes that cost at most `budget` MACs per clip, the cheapest of several.

    Raises:
        ValueError: when all of them cost more.
    """
    affordable = [found for found in outcomes if found.macs <= budget]
    if not affordable:
        least = min((found.macs for found in outcomes), default=inf)
        raise ValueError(
            f"no policy costs as little as {budget / 1e9:.4g} GMACs per clip, the cheapest {least / 1e9:.4g}; "
            "raise the budget or record smaller frame counts"
        )
    return max(affordable, key=lambda found: (found.correct, -found.macs))


class _Passes:
    """Recorded passes at some counts, made in turn."""

    def __init__(self, videos: Recorded, counts: tuple[int, ...]) -> None:
        places = [videos.counts.index(t) for t in counts]
        answers = np.cumsum(videos.probabilities[places], axis=0) / np.arange(1, len(counts) + 1)[:, None, None]
        self.counts = counts
        self.confidence = answers.max(-1)  # (S, N)
        self.right = answers.argmax(-1) == videos.labels  # (S, N)
        self.macs = np.cumsum([videos.macs[place] for place in places])
        self.frames = np.cumsum(counts)

    def stops(self, thresholds: np.ndarray) -> np.ndarray:
        """The pass (P, N) that each video stops at, from 0, under the thresholds (P, S - 1) of several policies."""
        needed = np.pad(thresholds, ((0, 0), (0, 1)), constant_values=-inf)
        return (self.confidence >= needed[:, :, None]).argmax(1)

    def correct(self, stops: np.ndarray) -> np.ndarray:
        """How many videos (P,) are right where they stop (P, N)."""
        return self.right[stops, np.arange(stops.shape[1])].sum(1)

    def outcome(self, thresholds: tuple[float, ...]) -> Outcome:
        stops = self.stops(np.array([thresholds], float))
        return Outcome(
            policy=Policy(self.counts, thresholds),
            clips=stops.size,
            correct=int(self.correct(stops)[0]),
            macs=float(self.macs[stops].mean()),
            frames=float(self.frames[stops].mean()),
            shares=tuple((np.bincount(stops[0], minlength=len(self.counts)) / stops.size).tolist()),
        )

    def best(self, levels: int) -> list[Outcome]:
        """The outcomes of the combinations of quantiles as thresholds that no other combination is better than."""
        shares = np.arange(1, levels) / levels
        cuts = [np.unique(np.quantile(sure, shares, method="higher")) for sure in self.confidence[:-1]]
        rows = np.array(list(product(*cuts)), float)
        macs, correct = [], []
        for part in np.array_split(rows, 1 + len(rows) // 64):  # many videos at all thresholds would fill the memory
            stops = self.stops(part)
            macs += self.macs[stops].mean(1).tolist()
            correct += self.correct(stops).tolist()
        return [self.outcome(tuple(rows[place].tolist())) for place in front(macs, correct)]


def front(costs: Sequence[float], correct: Sequence[float]) -> Iterator[int]:
    """The Pareto front: the places of those more often correct than all that cost no more, from the cheapest."""
    best = -inf
    for place in sorted(range(len(costs)), key=lambda place: (costs[place], -correct[place])):
        if correct[place] > best:
            best = correct[place]
            yield place


@dataclass(frozen=True)
class Answer:
    """What an adaptive classifier says of one video, and what it took."""

    running: np.ndarray  # (S, K), after each pass the mean of those so far
    counts: tuple[int, ...]  # the passes made
    macs: int  # of all of them
    decoded: int  # different frames of its footage

    @property
    def probabilities(self) -> np.ndarray:
        """The answer (K,): the mean of all passes."""
        return self.running[-1]


class AdaptiveClassifier:
    """Runs a policy on videos, with as many passes as each of them needs.

    Frames are decoded when a pass first needs them, and kept for the passes to come. Each pass takes its segment
    centres, as `Clips` does: those of T frames are among those of 3 T, whereas of 2 T none is, so that 4, 8 and 16
    frames of a long video are 28 different ones, and 4 and 12 are 12.

    Args:
        model: in eval mode; its card says how frames are preprocessed.

    Raises:
        ValueError: for a model in training mode.
    """

    def __init__(self, model: FrameFlexible, policy: Policy) -> None:
        if model.training:
            raise ValueError("the model is in training mode; call model.eval() first")
        self.model, self.policy = model, policy
        self._macs = {t: cost(model, t).macs for t in policy.counts}

    @torch.inference_mode()
    def __call__(self, video: str | Path | Reader | Footage) -> Answer:
        """The answer to one video: a file, a folder of extracted frames, an open reader, or footage.

        Raises:
            UnreadableVideoError: when it cannot be decoded.
        """
        footage = video if isinstance(video, Footage) else Footage(video, preprocessing(self.model.card))
        device = next(self.model.parameters()).device
        needed = (*self.policy.thresholds, -inf)
        total, running = np.zeros(()), []
        for passes, (count, threshold) in enumerate(zip(self.policy.counts, needed, strict=True), start=1):
            total = total + self.model(footage.clip(count).to(device))[0].float().cpu().double().softmax(-1).numpy()
            running.append(total / passes)
            if running[-1].max() >= threshold:
                break
        made = self.policy.counts[:passes]
        return Answer(np.stack(running), made, sum(self._macs[t] for t in made), len(footage.images))
