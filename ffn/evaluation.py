"""Predictions, accuracy and norm statistics at any number of frames, from one decode and one forward pass per clip.

Shapes: N videos, K classes.
"""

from dataclasses import asdict, dataclass, field
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ffn.data import Batch, Clips
from ffn.distribution import Processes
from ffn.divergence import Divergence, Gaussian, divergences
from ffn.model import FrameFlexible
from ffn.order import InOrder
from ffn.policies import any_frame
from ffn.progress import Progress
from ffn.statistics import Moments, measured, running_statistics

if TYPE_CHECKING:
    from accelerate import Accelerator


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
    inputs: dict[str, Gaussian] = field(default_factory=dict)  # what went into the norms, by layer

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
    def probabilities(self) -> np.ndarray:
        """What the network gives each class (N, K), float64."""
        return torch.from_numpy(self.logits).double().softmax(-1).numpy()

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
    model: FrameFlexible,
    clips: Clips,
    *,
    batch_size: int = 32,
    workers: int = 0,
    progress: Progress | None = None,
    engine: "Accelerator | None" = None,
    policy: str = "nearest",
    calibration: Clips | None = None,
) -> list[Result]:
    """One `Result` per frame count of `clips`: predictions and norm statistics from the same forward passes.

    Divergences are those of what goes into a norm from the running statistics that it uses. A norm that keeps none,
    such as LayerNorm, is compared with itself at the frame count of its branch, on the same videos; where that is not
    among the counts of `clips` there is nothing to compare with, and the layer is left out.

    Every video is decoded once. Videos that cannot be read are left out and named in every result. `progress` is
    called with (videos done, videos in all); an exception that it raises cancels the evaluation. With an `engine` of
    several processes each takes a part, which is what its `progress` counts, and all return the whole.

    Counts without a branch are answered by a `policy`, of `ffn.any_frame`; to recalibrate takes clips for
    `calibration`, at the same counts, whose videos `progress` counts first.

    Raises:
        ValueError: when the model is in training mode, or by `ffn.any_frame`.
    """
    if model.training:
        raise ValueError("the model is in training mode; call model.eval() first")
    model = any_frame(
        model, clips.frames, policy, calibration, batch_size=batch_size, workers=workers, progress=progress
    )
    device = next(model.parameters()).device
    processes = Processes(engine)
    runs = [_Run(model, t) for t in clips.frames]
    seen = _Seen({run.num_frames: run.moments for run in runs})
    order = InOrder(len(clips), batch_size, part=processes.part)
    for batch in clips.batches(order, workers=workers, progress=progress):
        for run in runs if len(batch) else ():
            seen.logits[run.num_frames].append(run(batch, device))
        seen.add(batch)
    whole, *others = processes.each(seen)
    for other in others:
        whole.merge(other)
    inputs = whole.inputs()
    return [run.result(whole, inputs) for run in runs]


class _Seen:
    """What a process saw: videos, in this order, and by frame count their logits and what norms measured."""

    def __init__(self, moments: dict[int, dict[str, Moments]]) -> None:
        self.indices: list[int] = []
        self.labels: list[int] = []
        self.unreadable: list[tuple[int, str]] = []
        self.logits: dict[int, list[np.ndarray]] = {t: [] for t in moments}
        self.moments = moments

    def add(self, batch: Batch) -> None:
        self.indices += batch.indices
        self.labels += batch.labels.tolist()
        self.unreadable += [(item.index, item.reason) for item in batch.unreadable]

    def merge(self, other: "_Seen") -> None:
        self.indices += other.indices
        self.labels += other.labels
        self.unreadable += other.unreadable
        for t, moments in self.moments.items():
            self.logits[t] += other.logits[t]
            for name, found in moments.items():
                found.merge(other.moments[t][name])

    def inputs(self) -> dict[int, dict[str, Gaussian]]:
        """By frame count what went into every norm that ran."""
        return {t: {name: m.gaussian() for name, m in found.items() if m.count} for t, found in self.moments.items()}


class _Run:
    """One frame count under way."""

    def __init__(self, model: FrameFlexible, num_frames: int) -> None:
        self.num_frames = num_frames
        self.branch = model.route(num_frames)
        self.plain = model.at(self.branch, num_frames)
        self.network, self.moments = measured(self.plain)

    def __call__(self, batch: Batch, device: torch.device) -> np.ndarray:
        return self.network(batch.stream(self.num_frames, device)).float().cpu().numpy()

    def result(self, seen: _Seen, inputs: dict[int, dict[str, Gaussian]]) -> Result:
        used = {**inputs.get(self.branch, {}), **running_statistics(self.plain)}
        logits = seen.logits[self.num_frames]
        order = np.argsort(np.array(seen.indices, int))
        return Result(
            num_frames=self.num_frames,
            branch=self.branch,
            indices=np.array(seen.indices, int)[order],
            labels=np.array(seen.labels, int)[order],
            logits=np.concatenate(logits)[order] if logits else np.zeros((0, 1), np.float32),
            divergences=divergences(inputs[self.num_frames], used),
            unreadable=tuple(reason for _, reason in sorted(seen.unreadable)),
            inputs=inputs[self.num_frames],
        )
