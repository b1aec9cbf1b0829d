"""Training: a flat frozen config, and a loop that can be stopped after any step and taken up again."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, fields
from itertools import chain
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from ffn.capture import Captured
from ffn.data import Batch, Clips
from ffn.distribution import Processes
from ffn.layers import nearest
from ffn.lists import DataError
from ffn.losses import METHODS, Outcome, parts
from ffn.mixing import mix
from ffn.model import FrameFlexible
from ffn.optimisation import OPTIMISERS, SCHEDULES, optimiser, schedule
from ffn.order import Shuffled, steps_per_epoch
from ffn.progress import Progress
from ffn.synchrony import SynchronisedNorms

if TYPE_CHECKING:
    from accelerate import Accelerator

# Methods of the paper's tables that no step makes, and how they are had.
ELSEWHERE_HAD = {
    "finetune": "that is `--method single --init` with the checkpoint to start from",
    "ensemble": "that is several networks of `--method single`; `ffn reproduce tables` tests them together",
}
DISTILLING = tuple(method for method in METHODS if method.startswith("ffn"))
LARGEST = torch.finfo(torch.float32).max  # of any setting: steps are computed in single precision
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def setting(default: Any, why: str, **needs: Iterable[str]) -> Any:
    """A field of a config, with the reason for it, which the command line shows.

    It changes nothing unless each of the other fields in `needs` has one of the values that are named there.
    """
    return field(default=default, metadata={"why": why, "needs": needs})


@dataclass(frozen=True)
class Training:
    """How a network is trained. The same values for every method make a fair comparison."""

    method: str = setting("ffn", f"what a step does: {', '.join(METHODS)}")
    streams: tuple[int, ...] = setting((), "frame counts that are shown; by default the branches of the network")
    distillation: float = setting(
        1.0, "weight of the divergence from the longest stream, lambda of the paper's eq. 5", method=DISTILLING
    )
    share: float = setting(
        0.5,
        "rho of mixed and rho' of proportional sampling; how often ffn-thinned shows each middle stream",
        method=("mixed", "proportional", "ffn-thinned"),
    )
    epochs: int = setting(16, "how often every video is seen")
    batch_size: int = setting(16, "videos per step over all processes, in every stream (ffn-split shares them out)")
    optimiser: str = setting("adamw", "adamw or sgd")
    learning_rate: float = setting(3e-3, "the peak of the schedule")
    momentum: float = setting(0.9, "of sgd", optimiser=("sgd",))
    nesterov: bool = setting(False, "sgd looks ahead", optimiser=("sgd",))
    weight_decay: float = setting(0.05, "not on norms, gains and biases: they have one dimension")
    decay_gains: bool = setting(False, "weight alteration decays towards none, as in the authors' 2D code")
    head_rate: float = setting(1.0, "how much faster the classifier learns; its bias twice that, unless this is 1")
    schedule: str = setting(
        "onecycle", "onecycle (which moves adamw's first beta from 0.95 to 0.85 and back), cosine or step"
    )
    warmup: float = setting(0.15, "share of all steps before the peak")
    warmup_rate: float = setting(
        0.01, "cosine and step: where the warm-up starts, as a share of the peak", schedule=("cosine", "step")
    )
    final_rate: float = setting(0.0, "cosine: where it ends, as a share of the peak", schedule=("cosine",))
    milestones: tuple[float, ...] = setting((), "step: epochs at which the learning rate drops", schedule=("step",))
    decay: float = setting(0.1, "step: by which factor it drops", schedule=("step",))
    clip_gradient: float = setting(0.0, "largest norm of the gradient, in mixed precision too; 0: no limit")
    precision: str = setting("float32", "float32, or mixed with bfloat16 (GPUs, CPUs that have it) or float16 (GPUs)")
    label_smoothing: float = setting(0.0, "share of the label spread over all classes")
    mixup: float = setting(0.0, "alpha of mixup; the streams of a video are mixed alike")
    cutmix: float = setting(0.0, "alpha of cutmix; with mixup each takes half of the steps")
    sync_norms: bool = setting(False, "batch norms see the batches of all processes")
    workers: int = setting(0, "processes that decode")
    capture: bool = setting(False, "on a GPU, record what a step runs as CUDA graphs: small networks train faster")
    seed: int = setting(0, "of the sampling, the crops and the order")

    def __post_init__(self) -> None:
        for name, known in (
            ("method", METHODS),
            ("optimiser", OPTIMISERS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
        ):
            if (value := getattr(self, name)) not in known:
                hint = f"; {ELSEWHERE_HAD[value]}" if value in ELSEWHERE_HAD else ""
                raise ValueError(f"unknown {name} {value!r}; there are {', '.join(known)}{hint}")
        self._check_numbers()
        if list(self.milestones) != sorted(self.milestones) or not all(map(isfinite, self.milestones)):
            raise ValueError(f"milestones are epochs one after another, got {self.milestones}")

    def idle(self, names: Iterable[str]) -> Iterator[str]:
        """One sentence for each of the settings of these names that changes nothing beside the others."""
        for own in (f for f in fields(self) if f.name in names):
            for other, values in own.metadata["needs"].items():
                if (value := getattr(self, other)) not in values:
                    yield f"{own.name} changes nothing with the {other} {value}; it is for {', '.join(values)}"
        late = [f"{epoch:g}" for epoch in self.milestones if epoch >= self.epochs]
        if late and self.schedule == "step" and {"epochs", "milestones"} & set(names):
            yield f"no drop at the milestones {', '.join(late)}: training ends after {self.epochs} epochs"

    def unsupported(self, device: torch.device) -> Iterator[str]:
        """One sentence for each setting that this device cannot follow."""
        if device.type == "cpu" and self.precision == "float16":
            yield "float16 is for GPUs; a CPU trains in single precision"
        if device.type != "cuda" and self.capture:
            yield f"capture is of CUDA graphs; on this {device.type} it changes nothing"

    def _check_numbers(self) -> None:
        for name in (f.name for f in fields(self) if f.type in (int, float)):
            if not 0 <= getattr(self, name) < inf:
                raise ValueError(f"{name} must be a number of at least 0, got {getattr(self, name)}")
            if getattr(self, name) > LARGEST and name != "seed":
                raise ValueError(f"{name} must be at most {LARGEST:g}, got {getattr(self, name):g}")
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("share", "label_smoothing", "momentum"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is a share, at most 1; got {getattr(self, name)}")
        if self.seed >= 2**64:
            raise ValueError(f"seed must be below 2**64, all that torch takes; got {self.seed}")
        if self.learning_rate <= 0 or self.warmup >= 1:
            raise ValueError(
                "the learning rate must be above 0 and its warm-up a share of the steps below 1, "
                f"got {self.learning_rate:g} and {self.warmup:g}"
            )


@dataclass(frozen=True)
class Epoch:
    """One finished epoch: mean loss and training accuracy per stream that was shown, and the clips seen or skipped."""

    epoch: int
    losses: dict[int, float]
    accuracies: dict[int, float]
    clips: int
    unreadable: tuple[str, ...]
    learning_rate: float  # of its last step
    waiting: float = field(default=0.0, compare=False)  # share of the time in which the next batch was not there yet


def train(
    model: FrameFlexible, clips: Clips, training: Training | None = None, *, progress: Progress | None = None
) -> Iterator[Epoch]:
    """Trains `model` in place and yields an `Epoch` after each; stop asking and training stops.

    `clips` must have a `seed` (random frames and crops) and the frame counts that are shown; the streams of a step are
    the same videos, decoded once, under one crop. `progress` is called with (steps done, steps in all).

    Raises:
        ValueError: when the clips lack one of the frame counts that are shown, or are sampled without a seed.
        DataError: when an epoch had no video that could be read.
        FloatingPointError: when the loss, or a weight after an epoch, is no longer a number.
    """
    yield from Trainer(model, clips, training or Training(), progress=progress)


class Trainer:
    """Training under way: iterating yields an `Epoch` after each. See `train`.

    After every step, when `progress` is called, `state_dict` is whole: a trainer that loads it goes on from there and
    ends with the same weights, to the last bit where the device computes the same twice. With an `engine` of several
    processes each has its part of every batch; all go the same steps, yield the same epochs and must be asked for them
    alike.
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
        self.processes = Processes(engine)
        self.device = next(model.parameters()).device
        self.captured = training.capture and self.device.type == "cuda" and self.processes.part.of == 1
        self.network: Callable[[Tensor, int], Tensor] = (
            Captured(model) if self.captured else self.processes.distribute(model, branches=len(model.frames) > 1)
        )
        self.precision = self._precision()
        self.fewest = self._fewest()
        self.method = METHODS[training.method](training)
        self.steps = steps_per_epoch(len(clips), training.batch_size)
        self.optimiser = optimiser(model, training)
        self.schedule = schedule(self.optimiser, training, training.epochs * self.steps)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=training.precision == "float16")
        self.step = 0  # of all steps, the one to do next
        self.waiting = _Waiting()
        self.epoch = 0  # of all epochs, the one whose row comes next
        self.tally = _Tally(self.frames)

    def __iter__(self) -> Iterator[Epoch]:
        while self.epoch < self.training.epochs:
            self.model.train()
            self.clips.epoch = self.epoch
            for batch in self.waiting.over(self._batches(self.epoch, self.step - self.epoch * self.steps)):
                with self._random():
                    self._learn(batch)
                self.tally.learning_rate = float(self.schedule.get_last_lr()[0])
                self.schedule.step()
                self.step += 1
                if self.progress:
                    self.progress(self.step, self.training.epochs * self.steps)
            self._check_epoch()
            self.processes.share_buffers(self.model)
            self.epoch += 1
            row = self.tally.epoch(self.epoch, self.waiting.share)
            self.tally = _Tally(self.frames)
            yield row

    def _batches(self, epoch: int, first: int) -> "DataLoader[Any]":
        order = Shuffled(
            len(self.clips),
            self.training.batch_size,
            seed=self.training.seed,
            epoch=epoch,
            first=first,
            part=self.processes.part,
        )
        return self.clips.decoded(order, self.training.workers)

    def _precision(self) -> torch.dtype | None:
        """Of the forward passes, where it is not single.

        A CPU takes single precision instead of float16 (over 100 times as fast), instead of bfloat16 where it has no
        instructions for that (8 times), and for 3D convolutions: torch 2.15's bfloat16 gradients of one that is longer
        than its clip are of memory that nobody wrote.
        """
        asked = PRECISIONS[self.training.precision]
        if self.device.type != "cpu":
            return asked
        is_3d = any(isinstance(module, nn.Conv3d) and module.kernel_size[0] > 1 for module in self.model.modules())
        emulated = asked is torch.float16 or not torch.ops.mkldnn._is_mkldnn_bf16_supported()
        return None if is_3d or emulated else asked

    def _fewest(self) -> int:
        """How many clips a process needs for a step: a batch norm has no statistics over one clip of one pixel."""
        batch_norms = any(isinstance(module, _BatchNorm) for module in self.model.modules())
        fewest = (2 if batch_norms and not self._synchronised else 1) * parts(self.training.method, len(self.frames))
        processes, step, videos = self.processes.part.of, self.training.batch_size, len(self.clips)
        if step % processes:
            raise ValueError(f"a batch of {step} videos cannot be shared by {processes} processes evenly")
        way = " or synchronise the norms" if processes > 1 and fewest > 1 else ""
        if step // processes < fewest:
            raise ValueError(
                f"a step of {step} videos leaves a process fewer than the {fewest} that {self.training.method} needs; "
                f"take larger batches{way}"
            )
        if videos // processes < fewest:
            least = fewest * processes
            raise ValueError(f"there are too few videos: {videos}, where a step takes at least {least}; add some{way}")
        return fewest

    @property
    def _synchronised(self) -> bool:
        return self.training.sync_norms and self.processes.part.of > 1

    @contextmanager
    def _random(self) -> Iterator[None]:
        """torch draws from seed, step and process alone, so that there is no state to keep; elsewhere it goes on."""
        drawn = np.random.SeedSequence((self.training.seed, self.step, self.processes.part.rank))
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(drawn.generate_state(1, np.uint64)[0]))
            yield

    def _learn(self, batch: Batch) -> None:
        share = self._share(batch)
        if not share:
            return
        rng = np.random.default_rng((self.training.seed, self.step))
        streams, labels = mix(
            _Streams(batch, self.frames, self.device),
            batch.labels.to(self.device),
            self.training,
            num_classes=self.model.config["num_classes"],
            size=batch.preprocessing.crop,
            rng=rng,
        )
        self.optimiser.zero_grad()
        with SynchronisedNorms() if self._synchronised else nullcontext():
            outcome = self.method(
                self._predict, streams, labels, lambda loss: self.scaler.scale(loss * share).backward(), rng
            )
        self.tally.add(self._checked(_sums(outcome)))
        self.scaler.unscale_(self.optimiser)
        if self.training.clip_gradient:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.training.clip_gradient)
        self.scaler.step(self.optimiser)
        self.scaler.update()

    def _share(self, batch: Batch) -> float:
        """How much this process's mean loss counts, 1 where all have as many clips; 0 in all where one has too few."""
        clips, unreadable = zip(*self.processes.rows(len(batch), len(batch.unreadable)), strict=True)
        if any(unreadable):
            reasons = self.processes.each([item.reason for item in batch.unreadable])
            self.tally.unreadable += chain.from_iterable(reasons)
        return len(batch) / (sum(clips) / len(clips)) if min(clips) >= self.fewest else 0.0

    def _predict(self, clips: Tensor) -> Tensor:
        """Logits in single precision; baselines show a network counts that it has no branch for."""
        branch = nearest(clips.shape[1], self.model.frames)
        enabled, remember = self.precision is not None, not self.captured  # a graph cannot remember weights it has cast
        with torch.autocast(self.device.type, self.precision, enabled=enabled, cache_enabled=remember):
            logits = self.network(clips, branch)
        return logits.float() if self.precision else logits

    def _checked(self, sums: "_Sums") -> "_Sums":
        """The `sums` of this process over all of them; one whose loss is no longer a number stops them all."""
        numbers = iter(self.processes.total(list(chain.from_iterable(sums.values()))))
        sums = {t: (next(numbers), next(numbers), next(numbers)) for t in sums}
        losses = {t: loss / clips for t, (loss, _, clips) in sums.items()}
        if not all(map(isfinite, losses.values())):
            epoch, step = divmod(self.step, self.steps)
            raise FloatingPointError(
                f"the loss is {losses} at step {step + 1} of {self.steps} of epoch {epoch + 1}: "
                f"lower the learning rate of {self.training.learning_rate:g}"
            )
        return sums

    def _check_epoch(self) -> None:
        """An epoch in which nothing could be learnt is none, nor one whose last step spoilt the weights."""
        if self.tally.unreadable and not any(self.tally.clips.values()):
            raise DataError(
                f"no step of epoch {self.epoch + 1} had enough videos that can be read; "
                f"{len(self.tally.unreadable)} cannot, the first: {self.tally.unreadable[0]}"
            )
        statistics = (item for item in self.model.named_buffers() if item[0].endswith(("running_mean", "running_var")))
        values = chain(self.model.named_parameters(), statistics)
        spoilt = [name for name, value in values if not value.isfinite().all()]
        if spoilt:
            raise FloatingPointError(
                f"{spoilt[0]} is no longer a number after the last step of epoch {self.epoch + 1}: "
                f"lower the learning rate of {self.training.learning_rate:g}"
            )

    def state_dict(self) -> dict[str, Any]:
        """Everything that the steps to come depend on, the same in every process but for running statistics.

        Those of the first process are the network's: every epoch ends with them in all.
        """
        return {
            "step": self.step,
            "epoch": self.epoch,
            "tally": vars(self.tally),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `state_dict` of the same training."""
        self.step, self.epoch = state["step"], state["epoch"]
        vars(self.tally).update(state["tally"])
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        with suppress(RuntimeError):  # a scaler that is not used has nothing to load
            self.scaler.load_state_dict(state["scaler"])


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


class _Waiting:
    """How much of the time a loop waits for its items."""

    def __init__(self) -> None:
        self.share = 0.0

    def over(self, items: Iterable[Batch]) -> Iterator[Batch]:
        begun, waited, source = time.perf_counter(), 0.0, iter(items)
        while True:
            asked = time.perf_counter()
            item = next(source, None)
            waited += time.perf_counter() - asked
            self.share = waited / max(1e-9, time.perf_counter() - begun)
            if item is None:
                return
            yield item


_Sums = dict[int, tuple[float, float, float]]  # by frame count: losses, right answers, clips


def _sums(outcome: Outcome) -> _Sums:
    """What one step adds to an epoch."""
    sums: _Sums = {}
    for t, logits in outcome.logits.items():
        labels, clips = outcome.labels[t], len(logits)
        targets = labels if labels.ndim == 1 else labels.argmax(-1)
        sums[t] = (float(outcome.losses[t]) * clips, int((logits.argmax(-1) == targets).sum()), clips)
    return sums


class _Tally:
    """Sums over an epoch and all processes."""

    def __init__(self, frames: tuple[int, ...]) -> None:
        self.loss = dict.fromkeys(frames, 0.0)
        self.correct = dict.fromkeys(frames, 0)
        self.clips = dict.fromkeys(frames, 0)
        self.unreadable: list[str] = []
        self.learning_rate = 0.0  # of the last step

    def add(self, sums: _Sums) -> None:
        for t, (loss, correct, clips) in sums.items():
            self.loss[t] += loss
            self.correct[t] += int(correct)
            self.clips[t] += int(clips)

    def epoch(self, number: int, waiting: float) -> Epoch:
        seen = {t: n for t, n in self.clips.items() if n}
        return Epoch(
            epoch=number,
            losses={t: self.loss[t] / seen[t] for t in seen},
            accuracies={t: self.correct[t] / seen[t] for t in seen},
            clips=max(self.clips.values()),
            unreadable=tuple(self.unreadable),
            learning_rate=self.learning_rate,
            waiting=waiting,
        )
