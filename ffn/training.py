"""Training: a flat frozen config and a generator that yields one row per epoch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from ffn.data import Batch, Clips
from ffn.losses import METHODS
from ffn.model import FrameFlexible

Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Training:
    """How a network is trained. The same values for every method make a fair comparison."""

    method: str = "ffn"  # a key of losses.METHODS; with one frame count both are ordinary training
    epochs: int = 16
    batch_size: int = 16  # videos per step; every stream has as many clips
    learning_rate: float = 3e-3  # the peak of the one-cycle schedule
    weight_decay: float = 0.05  # not on norms, gains and biases: they have one dimension
    warmup: float = 0.15  # share of the steps before the peak
    seed: int = 0  # of the sampling, the crops and the order

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"unknown method {self.method!r}; there are {', '.join(METHODS)}")
        if min(self.epochs, self.batch_size) < 1 or self.learning_rate <= 0:
            raise ValueError("epochs and batch_size must be at least 1, learning_rate above 0")


@dataclass(frozen=True)
class Epoch:
    """One finished epoch: mean loss and training accuracy per stream, and how many clips were seen or skipped."""

    epoch: int
    losses: dict[int, float]
    accuracies: dict[int, float]
    clips: int
    unreadable: tuple[str, ...]
    learning_rate: float


def optimizer(model: nn.Module, training: Training) -> torch.optim.Optimizer:
    """AdamW, without weight decay on parameters of one dimension (norms, gains, biases)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": training.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=training.learning_rate)


def train(
    model: FrameFlexible, clips: Clips, training: Training | None = None, *, progress: Progress | None = None
) -> Iterator[Epoch]:
    """Trains `model` in place and yields an `Epoch` after each; stop asking and training stops.

    `clips` must have a `seed` (random frames and crops) and the model's frame counts; the streams of a step are the
    same videos, decoded once, under one crop. `progress` is called with (steps done, steps in all).

    Raises:
        ValueError: when the clips lack one of the model's frame counts, or are sampled without a seed.
        FloatingPointError: when the loss is no longer a number.
    """
    training = training or Training()
    if not set(model.frames) <= set(clips.frames) or clips.seed is None:
        raise ValueError(f"the clips must be sampled with a seed at {model.frames}, got {clips.frames}")
    steps = training.epochs * _steps(clips, training.batch_size)
    optimiser = optimizer(model, training)
    schedule = OneCycleLR(optimiser, training.learning_rate, total_steps=steps, pct_start=training.warmup)
    done = 0
    for epoch in range(training.epochs):
        model.train()
        clips.epoch = epoch
        tally = _Tally(model.frames)
        for batch in clips.loader(training.batch_size, shuffle=True):
            if len(batch) > 1:  # a norm has no statistics over one clip of one pixel
                _step(model, batch, training, optimiser, tally)
            tally.unreadable += [unreadable.reason for unreadable in batch.unreadable]
            schedule.step()
            done += 1
            if progress:
                progress(done, steps)
        yield tally.epoch(epoch + 1, float(schedule.get_last_lr()[0]))


def _steps(clips: Clips, batch_size: int) -> int:
    return max(1, len(clips) // batch_size)


def _step(
    model: FrameFlexible, batch: Batch, training: Training, optimiser: torch.optim.Optimizer, tally: "_Tally"
) -> None:
    device = next(model.parameters()).device
    streams = {t: batch.stream(t, device) for t in model.frames}
    labels = batch.labels.to(device)
    optimiser.zero_grad()
    logits, losses = METHODS[training.method](model, streams, labels, torch.Tensor.backward)
    if not all(map(isfinite, losses.values())):
        raise FloatingPointError(f"the loss is {losses}: lower the learning rate of {training.learning_rate:g}")
    optimiser.step()
    for t in model.frames:
        tally.add(t, losses[t], int((logits[t].argmax(-1) == labels).sum()), len(labels))


class _Tally:
    """Sums over an epoch."""

    def __init__(self, frames: tuple[int, ...]) -> None:
        self.loss = dict.fromkeys(frames, 0.0)
        self.correct = dict.fromkeys(frames, 0)
        self.clips = dict.fromkeys(frames, 0)
        self.unreadable: list[str] = []

    def add(self, num_frames: int, loss: float, correct: int, clips: int) -> None:
        self.loss[num_frames] += loss * clips
        self.correct[num_frames] += correct
        self.clips[num_frames] += clips

    def epoch(self, number: int, learning_rate: float) -> Epoch:
        seen = {t: max(1, n) for t, n in self.clips.items()}
        return Epoch(
            epoch=number,
            losses={t: self.loss[t] / seen[t] for t in seen},
            accuracies={t: self.correct[t] / seen[t] for t in seen},
            clips=max(self.clips.values()),
            unreadable=tuple(self.unreadable),
            learning_rate=learning_rate,
        )
