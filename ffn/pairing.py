"""Several networks on the same videos, which are decoded once, and what can be said of their differences.

Shapes: N videos, K networks, D draws of the bootstrap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ffn.data import Batch, Clips
from ffn.model import FrameFlexible
from ffn.order import InOrder
from ffn.progress import Progress


@dataclass(frozen=True)
class Comparison:
    """Which of the same videos each network got right: `right[name][num_frames]` (N,), in the order of `indices`."""

    indices: np.ndarray
    right: dict[str, dict[int, np.ndarray]]
    branches: dict[str, dict[int, int]]  # which branch answered
    unreadable: tuple[str, ...]  # one line per video that was skipped


@torch.inference_mode()
def compare_networks(
    models: Mapping[str, FrameFlexible],
    clips: Clips,
    *,
    batch_size: int = 32,
    workers: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """The answers of networks, by name, to the same videos at every frame count of `clips`.

    Every video is decoded once, and one bit of it is kept per network and frame count. All networks get the clips as
    `clips` prepares them, on one device. `progress` is called with (videos done, videos in all); an exception that it
    raises cancels.

    Raises:
        ValueError: when there is no network, or one is in training mode.
    """
    _check(models)
    device = next(next(iter(models.values())).parameters()).device
    right: dict[str, dict[int, list[np.ndarray]]] = {name: {t: [] for t in clips.frames} for name in models}
    indices: list[int] = []
    unreadable: list[str] = []
    for batch in clips.batches(InOrder(len(clips), batch_size), workers=workers, progress=progress):
        for t in clips.frames if len(batch) else ():
            for name, answers in _answers(models, batch, t, device).items():
                right[name][t].append(answers)
        indices += batch.indices
        unreadable += [item.reason for item in batch.unreadable]
    return Comparison(
        indices=np.array(indices, int),
        right={
            name: {t: np.concatenate([[], *parts]).astype(bool) for t, parts in r.items()} for name, r in right.items()
        },
        branches={name: {t: model.route(t) for t in clips.frames} for name, model in models.items()},
        unreadable=tuple(unreadable),
    )


def _check(models: Mapping[str, FrameFlexible]) -> None:
    if not models:
        raise ValueError("there is no network to compare; pass at least one by name")
    for name, model in models.items():
        if model.training:
            raise ValueError(f"the network {name} is in training mode; call model.eval() first")


def _answers(
    models: Mapping[str, FrameFlexible], batch: Batch, num_frames: int, device: torch.device
) -> dict[str, np.ndarray]:
    clips, labels = batch.stream(num_frames, device), batch.labels.to(device)
    return {name: (model(clips).argmax(-1) == labels).cpu().numpy() for name, model in models.items()}


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its interval; NaN and infinite ends where the videos cannot say."""

    value: float
    low: float
    high: float


def bootstrap(right: np.ndarray, *, draws: int = 10_000, seed: int = 0) -> np.ndarray:
    """Accuracies (D, K) of networks on videos drawn again and again with replacement, the same for all networks.

    `right` (N, K) says who got which video right. Videos with the same pattern of answers are drawn together, which
    is the same distribution (Efron 1979) in a fraction of the time.

    Raises:
        ValueError: when there is no video.
    """
    if not len(right):
        raise ValueError("there is no video to draw from")
    patterns, counts = np.unique(right, axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(right), counts / len(right), size=draws)
    return drawn @ patterns / len(right)


def estimate(value: float, drawn: np.ndarray, level: float = 0.95) -> Estimate:
    """A percentile interval of `value` from its draws (D,).

    A draw that is NaN says nothing, so it counts as lower than any number at the low end and as higher at the high
    end: enough of them make the interval unbounded.
    """
    tail = (1 - level) / 2
    low = np.quantile(np.where(np.isnan(drawn), -np.inf, drawn), tail, method="lower")
    high = np.quantile(np.where(np.isnan(drawn), np.inf, drawn), 1 - tail, method="higher")
    return Estimate(value, float(low), float(high))


def gain(before: np.ndarray, after: np.ndarray, *, draws: int = 10_000, seed: int = 0) -> Estimate:
    """Accuracy of the answers `after` (N,) less that of those `before` (N,), with a paired bootstrap interval."""
    right = np.stack([before, after], axis=1)
    drawn = bootstrap(right, draws=draws, seed=seed)
    return estimate(float(after.mean() - before.mean()), drawn[:, 1] - drawn[:, 0])


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several tests, corrected so that one of them is at most 5 % by chance in 5 % of all cases.

    The smallest counts times the number of tests, the next times one less, and so on, none less than one before it
    (Holm 1979); the tests may depend on each other.
    """
    corrected, worst = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = worst
    return corrected
