"""Norm statistics of a frame count that the network was not trained at, from clips alone: no labels, no gradients.

Shapes: B clips, T frames, N images, C channels, H height, W width.
"""

from collections.abc import Mapping, Sequence
from copy import copy, deepcopy
from functools import reduce
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ffn.branches import record, with_branch
from ffn.data import Clips
from ffn.layers import check_frames
from ffn.model import FrameFlexible
from ffn.progress import Progress
from ffn.statistics import Moments, batch_norms
from ffn.surgery import swapped


def recalibrate(
    model: FrameFlexible,
    clips: Clips,
    num_frames: int | Sequence[int],
    *,
    batch_size: int = 32,
    limit: int | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> FrameFlexible:
    """A copy of `model` whose batch norms have, for clips of `num_frames` frames, the statistics of `clips`.

    A count without a branch gets one (`ffn.with_branch`), a branch that is there new statistics; several counts share
    one decode. gamma, beta, gains and all weights stay.

    This is PreciseBN (Wu and Johnson 2021, arXiv 2105.07576, section 3): running mean and variance become those of all
    activations together, sum(x) / n and sum(x^2) / n - mean^2, instead of a moving average of the last steps. While
    they are collected every norm normalises by its own batch, as it did in training, so that a layer's statistics
    are of the activations that training made, one pass over the data is enough for all depths, and the result does
    not depend on the statistics of before: to recalibrate twice is to recalibrate once. The price is that batches
    must be large and mixed, hence `limit` and batches are drawn at random, always alike, from wherever the data has
    its classes one after the other.

    Args:
        batch_size: the number of clips whose statistics a norm uses, about; batches are of equal size.
        limit: how many clips to use; all by default.
        progress: called with (clips done, clips in all); an exception that it raises cancels.

    Raises:
        ValueError: when `clips` are not sampled at `num_frames`, none can be read, branches share their norms, or no
            norm keeps statistics: LayerNorm and its like normalise every clip by itself, at any number of frames.
    """
    counts = check_frames(num_frames)
    _check(model, clips, counts)
    grown = reduce(with_branch, [t for t in counts if t not in model.frames], deepcopy(model)).eval()
    plain = {t: grown.at(t, t) for t in counts}
    batches = _batches(len(clips), batch_size, limit)
    used, found = _collect(plain, clips, batches, workers, progress)
    for norm, moments in found.items():
        if moments.count:  # the network may hold layers that it does not run
            norm.running_mean.copy_(moments.mean)
            norm.running_var.copy_(moments.squares / moments.count)
    for t in counts:
        record(grown, t, data=clips.digest, clips=used)
    return grown.train(model.training)


def _check(model: FrameFlexible, clips: Clips, counts: Sequence[int]) -> None:
    if missing := sorted(set(counts) - set(clips.frames)):
        raise ValueError(f"the clips have {clips.frames} frames, not {missing[0]}; sample them at what is calibrated")
    branches = [[norm for _, norm in batch_norms(model.at(branch, branch))] for branch in model.frames]
    if not branches[0]:
        raise ValueError(
            f"the norms of {model.config['architecture']} keep no running statistics, so there is nothing to "
            "recalibrate: they normalise every clip by itself"
        )
    alone = len({norm for branch in branches for norm in branch}) == sum(map(len, branches))
    if not alone and set(counts) <= set(model.frames):
        raise ValueError(
            f"the branches {model.frames} share their norms, so none can have statistics of its own; "
            "calibrate a count between them, which makes the norms private"
        )


def _batches(videos: int, batch_size: int, limit: int | None) -> list[list[int]]:
    """At most `limit` of the videos in a drawn order, in batches of equal size."""
    for name, number in (("batch_size", batch_size), ("limit", limit)):
        if number is not None and number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    order = np.random.default_rng(0).permutation(videos)[:limit]
    return [part.tolist() for part in np.array_split(order, ceil(len(order) / batch_size))]


@torch.inference_mode()
def _collect(
    networks: Mapping[int, nn.Module],
    clips: Clips,
    batches: list[list[int]],
    workers: int,
    progress: Progress | None,
) -> tuple[int, dict[Any, Moments]]:
    """How many clips there were, and by norm the moments of what it saw when each network got them at its own count."""
    found: dict[Any, Moments] = {}
    views = {t: _by_batch(network, found) for t, network in networks.items()}
    used = 0
    for batch in clips.batches(batches, workers=workers, progress=progress):
        for t, view in views.items() if len(batch) else ():
            view(batch.stream(t, next(view.parameters()).device))
        used += len(batch)
    if not used:
        raise ValueError(f"none of the {sum(map(len, batches))} videos of {clips.source} that were tried can be read")
    return used, found


def _by_batch(network: nn.Module, found: dict[Any, Moments]) -> nn.Module:
    """A view of an ordinary network whose norms go by the batch, as in training, and note in `found` what they see."""
    own = {norm: Moments() for _, norm in batch_norms(network)}
    found |= own
    wrapped = {norm: _ByBatch(norm, moments) for norm, moments in own.items()}
    return swapped(network, lambda module: wrapped.pop(module, None))


class _ByBatch(nn.Module):
    """A norm that keeps running statistics, with those of the batch in their place: nothing is written to it."""

    def __init__(self, norm: Any, moments: Moments) -> None:
        super().__init__()
        self.norm, self.moments = norm, moments

    def forward(self, x: Tensor) -> Tensor:  # (N, C, ...)
        batch = Moments()
        batch.add(x)
        self.moments.merge(batch)
        mean, variance = (tensor.to(self.norm.running_mean) for tensor in (batch.mean, batch.squares / batch.count))
        norm = copy(self.norm)
        norm._buffers = {**norm._buffers, "running_mean": mean, "running_var": variance}
        return norm(x)
