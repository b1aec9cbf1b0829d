"""Predictions, accuracy and norm statistics at any number of frames, from one decode and one forward pass per clip.

Shapes: N videos, K classes.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
import torch

from ffn.data import Batch, Clips
from ffn.model import FrameFlexible
from ffn.statistics import Divergence, divergence, measured, running_statistics

Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Result:
    """What one frame count gave on a set of videos."""

    num_frames: int
    branch: int
    indices: np.ndarray  # (N,) positions of the videos in the data
    labels: np.ndarray  # (N,)
    logits: np.ndarray  # (N, K), float32
    divergences: dict[str, Divergence]  # by norm layer, in network order
    unreadable: tuple[str, ...]  # one line per video that was skipped

    def accuracy_row(self) -> dict[str, int]:
        """The counts behind the accuracy, as one row of a table."""
        return {"num_frames": self.num_frames, "branch": self.branch, "correct": self.correct, "clips": self.clips}

    def divergence_rows(self) -> list[dict[str, Any]]:
        """One row per norm layer, in network order."""
        return [
            {"num_frames": self.num_frames, "branch": self.branch, "layer": layer, **asdict(found)}
            for layer, found in self.divergences.items()
        ]

    @property
    def clips(self) -> int:
        """How many videos were read."""
        return len(self.labels)

    @property
    def correct(self) -> int:
        """How many of them were classified rightly."""
        return int((self.logits.argmax(-1) == self.labels).sum())


def wilson(correct: int, clips: int, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson score interval of an accuracy, as fractions; 95 % at the default `z` (Wilson 1927)."""
    if not clips:
        return 0.0, 1.0
    share, spread = correct / clips, z * z / clips
    centre = (share + spread / 2) / (1 + spread)
    half = z * sqrt(share * (1 - share) / clips + spread / clips / 4) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


@torch.inference_mode()
def evaluate(
    model: FrameFlexible, clips: Clips, *, batch_size: int = 32, workers: int = 0, progress: Progress | None = None
) -> list[Result]:
    """One `Result` per frame count of `clips`: predictions and norm statistics from the same forward passes.

    Every video is decoded once. Videos that cannot be read are left out and named in every result. `progress` is
    called with (videos done, videos in all); an exception that it raises cancels the evaluation.

    Raises:
        ValueError: when the model is in training mode.
    """
    if model.training:
        raise ValueError("the model is in training mode; call model.eval() first")
    device = next(model.parameters()).device
    runs = [_Run(model, t) for t in clips.frames]
    indices: list[int] = []
    labels: list[int] = []
    unreadable: list[str] = []
    for batch in clips.loader(batch_size, workers=workers):
        for run in runs if len(batch) else ():
            run.add(batch, device)
        indices += batch.indices
        labels += batch.labels.tolist()
        unreadable += [item.reason for item in batch.unreadable]
        if progress:
            progress(len(indices) + len(unreadable), len(clips))
    return [run.result(np.array(indices, int), np.array(labels, int), tuple(unreadable)) for run in runs]


class _Run:
    """One frame count under way."""

    def __init__(self, model: FrameFlexible, num_frames: int) -> None:
        self.num_frames = num_frames
        self.branch = model.route(num_frames)
        self.plain = model.at(self.branch, num_frames)
        self.network, self.moments = measured(self.plain)
        self.logits: list[np.ndarray] = []

    def add(self, batch: Batch, device: torch.device) -> None:
        logits = self.network(batch.stream(self.num_frames, device))
        self.logits.append(logits.float().cpu().numpy())

    def result(self, indices: np.ndarray, labels: np.ndarray, unreadable: tuple[str, ...]) -> Result:
        used = running_statistics(self.plain)
        seen = {name: moments.gaussian() for name, moments in self.moments.items() if moments.count}
        return Result(
            num_frames=self.num_frames,
            branch=self.branch,
            indices=indices,
            labels=labels,
            logits=np.concatenate(self.logits) if self.logits else np.zeros((0, 1), np.float32),
            divergences={name: divergence(seen[name], used[name]) for name in seen},
            unreadable=unreadable,
        )
