"""Training: a flat frozen config, and a loop that can be stopped after any step and taken up again."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ffn.data import Batch, Clips
from ffn.layers import nearest
from ffn.losses import METHODS
from ffn.model import FrameFlexible
from ffn.optimisation import OPTIMISERS, SCHEDULES, optimiser, schedule
from ffn.order import ALL, Part, Shuffled, steps_per_epoch

if TYPE_CHECKING:
    from accelerate import Accelerator

Progress = Callable[[int, int], object]
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def setting(default: Any, why: str) -> Any:
    """A field of a config, with the reason for it; the command line shows it."""
    return field(default=default, metadata={"why": why})


@dataclass(frozen=True)
class Training:
    """How a network is trained. The same values for every method make a fair comparison."""

    method: str = setting("ffn", f"what a step does: {', '.join(METHODS)}")
    streams: tuple[int, ...] = setting((), "frame counts that are shown; by default the branches of the network")
    distillation: float = setting(1.0, "weight of the divergence from the longest stream, lambda of the paper's eq. 5")
    share: float = setting(0.5, "rho of mixed and rho' of proportional sampling")
    epochs: int = setting(16, "how often every video is seen")
    batch_size: int = setting(16, "videos per step over all processes; every stream has as many clips")
    optimiser: str = setting("adamw", "adamw or sgd")
    learning_rate: float = setting(3e-3, "the peak of the schedule")
    momentum: float = setting(0.9, "of sgd")
    nesterov: bool = setting(False, "sgd looks ahead")
    weight_decay: float = setting(0.05, "not on norms, gains and biases: they have one dimension")
    decay_gains: bool = setting(False, "weight alteration decays towards none, as in the authors' 2D code")
    head_rate: float = setting(1.0, "how much faster the classifier learns; its bias learns twice that if above 1")
    schedule: str = setting("onecycle", "onecycle, cosine or step")
    warmup: float = setting(0.15, "share of all steps before the peak")
    warmup_rate: float = setting(0.01, "cosine and step: where the warm-up starts, as a share of the peak")
    final_rate: float = setting(0.0, "cosine: where it ends, as a share of the peak")
    milestones: tuple[float, ...] = setting((), "step: epochs at which the learning rate drops")
    decay: float = setting(0.1, "step: by which factor it drops")
    clip_gradient: float = setting(0.0, "largest norm of the gradient, in mixed precision too; 0: no limit")
    precision: str = setting("float32", "float32, or mixed with bfloat16 or float16")
    label_smoothing: float = setting(0.0, "share of the label spread over all classes")
    mixup: float = setting(0.0, "alpha of mixup; the streams of a video are mixed alike")
    cutmix: float = setting(0.0, "alpha of cutmix; with mixup each takes half of the steps")
    sync_norms: bool = setting(False, "batch norms see the batches of all processes")
    workers: int = setting(0, "processes that decode")
    seed: int = setting(0, "of the sampling, the crops and the order")

    def __post_init__(self) -> None:
        for name, known in (
            ("method", METHODS),
            ("optimiser", OPTIMISERS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; there are {', '.join(known)}")
        if min(self.epochs, self.batch_size) < 1 or self.learning_rate <= 0:
            raise ValueError("epochs and batch_size must be at least 1, learning_rate above 0")
        if not 0 <= self.warmup < 1 or not 0 <= self.share <= 1:
            raise ValueError("warmup is a share of the steps below 1, share a probability")
        if any(getattr(self, f.name) < 0 for f in fields(self) if f.type in (int, float)):
            raise ValueError("no setting is below 0")


@dataclass(frozen=True)
class Epoch:
    """One finished epoch: mean loss and training accuracy per stream, and how many clips were seen or skipped."""

    epoch: int
    losses: dict[int, float]
    accuracies: dict[int, float]
    clips: int
    unreadable: tuple[str, ...]
    learning_rate: float


def train(
    model: FrameFlexible, clips: Clips, training: Training | None = None, *, progress: Progress | None = None
) -> Iterator[Epoch]:
    """Trains `model` in place and yields an `Epoch` after each; stop asking and training stops.

    `clips` must have a `seed` (random frames and crops) and the model's frame counts; the streams of a step are the
    same videos, decoded once, under one crop. `progress` is called with (steps done, steps in all).

    Raises:
        ValueError: when the clips lack one of the frame counts that are shown, or are sampled without a seed.
        FloatingPointError: when the loss is no longer a number.
    """
    yield from Trainer(model, clips, training or Training(), progress=progress)


class Trainer:
    """Training under way: iterating yields an `Epoch` after each. See `train`.

    After every step, when `progress` is called, `state_dict` is whole: a trainer that loads it goes on from there and
    ends with the same weights, to the last bit where the device computes the same twice. With an `engine` of several
    processes each has its part of every batch.
    """

    def __init__(
        self,
        model: FrameFlexible,
        clips: Clips,
        training: Training,
        *,
        progress: Progress | None = None,
        engine: "Accelerator | None" = None,
    ) -> None:
        self.frames = training.streams or model.frames
        if not set(self.frames) <= set(clips.frames) or clips.seed is None:
            raise ValueError(f"the clips must be sampled with a seed at {self.frames}, got {clips.frames}")
        self.model, self.clips, self.training, self.progress = model, clips, training, progress
        self.device = next(model.parameters()).device
        self.engine = engine if engine is not None and engine.num_processes > 1 else None
        self.part = Part(engine.process_index, engine.num_processes) if self.engine and engine else ALL
        self.network = self.engine.prepare_model(model) if self.engine else model
        self.method = METHODS[training.method](training)
        self.steps = steps_per_epoch(len(clips), training.batch_size)
        self.optimiser = optimiser(model, training)
        self.schedule = schedule(self.optimiser, training, training.epochs * self.steps)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=training.precision == "float16")
        self.step = 0  # of all steps, the one to do next
        self.tally = _Tally(self.frames)

    def __iter__(self) -> Iterator[Epoch]:
        while self.step < self.training.epochs * self.steps:
            epoch, first = divmod(self.step, self.steps)
            self.model.train()
            self.clips.epoch = epoch
            for batch in self._batches(epoch, first):
                self._learn(batch)
                self.tally.unreadable += [unreadable.reason for unreadable in batch.unreadable]
                self.schedule.step()
                self.step += 1
                if self.progress:
                    self.progress(self.step, self.training.epochs * self.steps)
            row = self.tally.epoch(epoch + 1, float(self.schedule.get_last_lr()[0]))
            self.tally = _Tally(self.frames)
            yield row

    def _batches(self, epoch: int, first: int) -> "DataLoader[Batch]":
        order = Shuffled(
            len(self.clips),
            self.training.batch_size,
            seed=self.training.seed,
            epoch=epoch,
            first=first,
            part=self.part,
        )
        return DataLoader(
            self.clips, batch_sampler=order, num_workers=self.training.workers, collate_fn=self.clips.collate
        )

    def _learn(self, batch: Batch) -> None:
        if len(batch) < 2:  # a norm has no statistics over one clip of one pixel
            return
        labels = batch.labels.to(self.device)
        rng = np.random.default_rng((self.training.seed, self.step))
        self.optimiser.zero_grad()
        logits, losses = self.method(self._predict, _Streams(batch, self.frames, self.device), labels, self._backward, rng)
        self._check(losses)
        self.scaler.unscale_(self.optimiser)
        if self.training.clip_gradient:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.training.clip_gradient)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.tally.add(logits, losses, labels)

    def _predict(self, clips: Tensor) -> Tensor:
        """Logits in single precision; baselines show a network counts that it has no branch for."""
        branch = nearest(clips.shape[1], self.model.frames)
        precision = PRECISIONS[self.training.precision]
        with torch.autocast(self.device.type, precision, enabled=precision is not None):
            return self.network(clips, branch).float()

    def _backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def _check(self, losses: Mapping[int, Tensor]) -> None:
        values = torch.stack(list(losses.values())).tolist()
        if not all(map(isfinite, values)):
            epoch, step = divmod(self.step, self.steps)
            raise FloatingPointError(
                f"the loss is {dict(zip(losses, values, strict=True))} at step {step + 1} of {self.steps} of epoch "
                f"{epoch + 1}: lower the learning rate of {self.training.learning_rate:g}"
            )

    def state_dict(self) -> dict[str, Any]:
        """Everything that the steps to come depend on."""
        state = {
            "step": self.step,
            "tally": vars(self.tally),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `state_dict` of the same training."""
        self.step = state["step"]
        vars(self.tally).update(state["tally"])
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        with suppress(RuntimeError):  # a scaler that is not used has nothing to load
            self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["random"].cpu())
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["random_cuda"].cpu(), self.device)


class _Streams(Mapping[int, Tensor]):
    """A batch's clips by frame count, made when asked for, so that no two need to be there at once."""

    def __init__(self, batch: Batch, frames: tuple[int, ...], device: torch.device) -> None:
        self.batch, self.frames, self.device = batch, frames, device

    def __getitem__(self, num_frames: int) -> Tensor:
        return self.batch.stream(num_frames, self.device)

    def __iter__(self) -> Iterator[int]:
        return iter(self.frames)

    def __len__(self) -> int:
        return len(self.frames)


class _Tally:
    """Sums over an epoch."""

    def __init__(self, frames: tuple[int, ...]) -> None:
        self.loss = dict.fromkeys(frames, 0.0)
        self.correct = dict.fromkeys(frames, 0)
        self.clips = dict.fromkeys(frames, 0)
        self.unreadable: list[str] = []

    def add(self, logits: Mapping[int, Tensor], losses: Mapping[int, Tensor], labels: Tensor) -> None:
        targets = labels if labels.ndim == 1 else labels.argmax(-1)
        for t, answer in logits.items():
            self.loss[t] += float(losses[t]) * len(labels)
            self.correct[t] += int((answer.argmax(-1) == targets).sum())
            self.clips[t] += len(labels)

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
