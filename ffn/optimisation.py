"""Optimisers and learning rate schedules: which parameters decay, how fast each learns, and when."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import chain
from math import cos, nextafter, pi
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from ffn.layers import ResidualAdapter
from ffn.surgery import classifiers

if TYPE_CHECKING:
    from ffn.model import FrameFlexible
    from ffn.training import Training

OPTIMISERS = ("adamw", "sgd")
SCHEDULES = ("onecycle", "cosine", "step")


def optimiser(model: "FrameFlexible", training: "Training") -> torch.optim.Optimizer:
    """AdamW or SGD over groups of parameters that share decay and speed.

    Norms, biases and gains (one dimension) do not decay, unless `decay_gains`. The classifier's weight learns
    `head_rate` times as fast as the rest and its bias twice that, where `head_rate` is not 1.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    gains = {id(gain) for module in _adapters(model) for gain in module.by_frames.values()}
    faster = _heads(model) if training.head_rate != 1 else ()
    heads = {id(parameter) for head in faster for parameter in head.parameters()}
    for parameter in (p for p in model.parameters() if p.requires_grad):
        decays = parameter.ndim > 1 or (training.decay_gains and id(parameter) in gains)
        rate = training.head_rate if id(parameter) in heads else 1.0
        if rate != 1 and parameter.ndim == 1:
            rate *= 2
        groups.setdefault((training.weight_decay if decays else 0.0, rate), []).append(parameter)
    settings: list[dict[str, Any]] = [
        {"params": parameters, "weight_decay": decay, "lr": training.learning_rate * rate}
        for (decay, rate), parameters in groups.items()
    ]
    fused = all(parameter.is_cuda for parameter in model.parameters()) or None
    if training.optimiser == "sgd":
        return torch.optim.SGD(settings, momentum=training.momentum, nesterov=training.nesterov, fused=fused)
    return torch.optim.AdamW(settings, fused=fused)


def _adapters(model: nn.Module) -> Iterator[ResidualAdapter]:
    return (module for module in model.modules() if isinstance(module, ResidualAdapter))


def _heads(model: "FrameFlexible") -> Iterator[nn.Module]:
    """The layers that give the logits in any branch, without the norms that a classifier of timm's may hold."""
    for classifier in chain.from_iterable(classifiers(model.at(branch, branch)) for branch in model.frames):
        yield from (layer for layer in classifier.modules() if isinstance(layer, nn.Linear | nn.Conv2d))


def schedule(optimiser: torch.optim.Optimizer, training: "Training", steps: int) -> LRScheduler:
    """The learning rate over `steps` steps in all; call its `step` after each."""
    plan = _schedule(optimiser, training, steps)
    optimiser.zero_grad()
    optimiser.step()  # of nothing: mixed precision may skip the first real one, and torch would warn
    return plan


def _schedule(optimiser: torch.optim.Optimizer, training: "Training", steps: int) -> LRScheduler:
    if training.schedule == "onecycle":
        peaks = [group["lr"] for group in optimiser.param_groups]
        return OneCycleLR(
            optimiser,
            peaks,
            total_steps=steps,
            pct_start=_warmup(training.warmup, steps),
            cycle_momentum=training.optimiser == "adamw",
        )
    return LambdaLR(optimiser, lambda step: rate(training, min(1.0, step / steps)))


def _warmup(share: float, steps: int) -> float:
    """`share`, or the next below it with which no phase of torch's is without steps: it divides by their number."""
    while share * steps in (1, steps):
        share = nextafter(share, 0)
    return share


def rate(training: "Training", progress: float) -> float:
    """The share of the peak learning rate after a share `progress` of all steps: linear warm-up, then the schedule."""
    if progress < training.warmup:
        start = training.warmup_rate
        return start + (1 - start) * progress / training.warmup
    if training.schedule == "step":
        epochs = round(progress * training.epochs, 6)  # or a step may come out just before the milestone that it is at
        return training.decay ** bisect_right(training.milestones, epochs)
    rest = (progress - training.warmup) / (1 - training.warmup)
    return training.final_rate + (1 - training.final_rate) * (1 + cos(pi * rest)) / 2
