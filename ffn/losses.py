"""What a training step does: ours, the paper's baselines and ablations, stream by stream.

Every method calls `backward` once per stream that it shows, longest first, so that one stream's activations are freed
before the next stream's are made: the gradients of the joint loss at the memory of the longest stream. `backward` comes
as an argument, so that a gradient scaler or a distributed engine can put its own in.

Shapes: B clips, T frames, K classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, pairwise
from typing import Any, Protocol

import numpy as np
import torch.nn.functional as F
from torch import Tensor

Backward = Callable[[Tensor], object]
Network = Callable[[Tensor], Tensor]
Streams = Mapping[int, Tensor]  # clips (B, T, C, H, W) of the same videos, by frame count


@dataclass(frozen=True)
class Shown:
    """Which of a step's clips a stream sees, and how much their mean loss counts."""

    clips: slice = field(default_factory=lambda: slice(None))
    counts: float = 1.0


# What a step shows of the shorter streams, which come longest first, given how many clips it has and its rng.
Selection = Callable[[Sequence[int], int, np.random.Generator | None], dict[int, Shown]]


def all_of_them(shorter: Sequence[int], clips: int, rng: np.random.Generator | None) -> dict[int, Shown]:
    """Every stream, as the paper does."""
    return dict.fromkeys(shorter, Shown())


@dataclass(frozen=True)
class Outcome:
    """What a step gave, by the frame count of the streams that ran, all detached.

    Attributes:
        logits: (n, K), of the n clips that the stream was shown, which may be a part of the B.
        labels: of the same clips, (n,) or (n, K).
        losses: the mean over the same clips, whatever the stream counts for.
    """

    logits: dict[int, Tensor] = field(default_factory=dict)
    labels: dict[int, Tensor] = field(default_factory=dict)
    losses: dict[int, Tensor] = field(default_factory=dict)


class Method(Protocol):
    """Runs `model` on streams and `backward` on their losses. `labels` are class indices (B,) or shares (B, K).

    `rng` is the step's own, the same in every process, for methods that draw what a step shows.
    """

    def __call__(
        self, model: Network, streams: Streams, labels: Tensor, backward: Backward, rng: np.random.Generator
    ) -> Outcome: ...


class Settings(Protocol):
    """What a method may be told."""

    @property
    def distillation(self) -> float: ...
    @property
    def share(self) -> float: ...


def distillation(logits: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student) over the classes, averaged over the batch (paper eq. 4); `teacher` holds logits (B, K)."""
    return F.kl_div(logits.log_softmax(-1), teacher.log_softmax(-1), reduction="batchmean", log_target=True)


def temporal_distillation(
    model: Network,
    streams: Streams,
    labels: Tensor,
    backward: Backward,
    rng: np.random.Generator | None = None,
    *,
    weight: float = 1.0,
    label_every_stream: bool = False,
    show: Selection = all_of_them,
) -> Outcome:
    """Cross entropy on the longest stream, whose detached prediction teaches the others (paper eq. 3-5).

    Args:
        streams: one stream alone is ordinary training.
        weight: lambda of eq. 5.
        label_every_stream: cross entropy on the shorter streams too, which the paper does not do.
        show: what the step shows of the shorter streams.
    """
    longest, *shorter = sorted(streams, reverse=True)
    shown = {longest: Shown()}
    if shorter:
        shown |= show(shorter, len(labels), rng)

    def loss_of(num_frames: int, prediction: Tensor, truth: Tensor, logits: Streams) -> Tensor:
        if num_frames == longest:
            return F.cross_entropy(prediction, truth)
        taught = weight * distillation(prediction, logits[longest][shown[num_frames].clips])
        return taught + F.cross_entropy(prediction, truth) if label_every_stream else taught

    return _one_by_one(model, streams, shown, labels, loss_of, backward)


def one_of_them(shorter: Sequence[int], clips: int, rng: np.random.Generator | None) -> dict[int, Shown]:
    """One stream, which counts for all of them."""
    drawn = shorter[int(_require(rng).integers(len(shorter)))]
    return {drawn: Shown(counts=len(shorter))}


def shared_out(shorter: Sequence[int], clips: int, rng: np.random.Generator | None) -> dict[int, Shown]:
    """A share of the clips in each stream; every clip counts for all of them.

    Where sharing leaves some over, `rng` draws the streams that get one more.

    Raises:
        ValueError: when some stream would get none.
    """
    streams = len(shorter)
    each, left = divmod(clips, streams)
    if not each:
        raise ValueError(f"{clips} clips cannot be shared out among {streams} streams; take larger batches")
    more = set(_require(rng).permutation(streams)[:left]) if left else set()
    ends = accumulate((each + (stream in more) for stream in range(streams)), initial=0)
    shares = [Shown(slice(first, end), streams * (end - first) / clips) for first, end in pairwise(ends)]
    return dict(zip(shorter, shares, strict=True))


def thinned(shorter: Sequence[int], clips: int, rng: np.random.Generator | None, *, share: float) -> dict[int, Shown]:
    """The shortest stream, and each of the others with probability `share`."""
    *middle, shortest = shorter
    shown = [t for t in middle if _require(rng).random() < share]
    return dict.fromkeys((*shown, shortest), Shown())


def labels_alone(
    model: Network, streams: Streams, labels: Tensor, backward: Backward, rng: np.random.Generator | None = None
) -> Outcome:
    """Cross entropy on every stream, which learn nothing from each other: the ablation "w/o TD" of table 4."""
    shown = dict.fromkeys(sorted(streams, reverse=True), Shown())

    def loss_of(_: int, prediction: Tensor, truth: Tensor, __: Streams) -> Tensor:
        return F.cross_entropy(prediction, truth)

    return _one_by_one(model, streams, shown, labels, loss_of, backward)


def _one_by_one(
    model: Network,
    streams: Streams,
    shown: Mapping[int, Shown],
    labels: Tensor,
    loss_of: Callable[[int, Tensor, Tensor, Streams], Tensor],
    backward: Backward,
) -> Outcome:
    """A pass forward and back per stream that is `shown`, in turn.

    `loss_of` gets T, its logits and labels, and the logits of the streams before.
    """
    outcome = Outcome()
    for num_frames, part in shown.items():
        prediction, truth = model(streams[num_frames][part.clips]), labels[part.clips]
        loss = loss_of(num_frames, prediction, truth, outcome.logits)
        backward(loss * part.counts)
        outcome.logits[num_frames], outcome.losses[num_frames] = prediction.detach(), loss.detach()
        outcome.labels[num_frames] = truth
    return outcome


def proportional_sampling(
    model: Network, streams: Streams, labels: Tensor, backward: Backward, rng: np.random.Generator, *, share: float
) -> Outcome:
    """The longest stream with probability `share`, the shortest otherwise (rho' of paper section 5.1)."""
    shown = max(streams) if rng.random() < share else min(streams)
    return labels_alone(model, {shown: streams[shown]}, labels, backward)


def mixed_sampling(
    model: Network, streams: Streams, labels: Tensor, backward: Backward, rng: np.random.Generator, *, share: float
) -> Outcome:
    """The longest stream, with the shortest mixed into it with probability `share` (rho of paper section 5.1).

    It is mixed into consecutive frames at a random place; the paper gives no distribution of the mixing weight, ours
    is even, mixup's at alpha 1.
    """
    longest, shortest = max(streams), min(streams)
    clips = streams[longest]
    if rng.random() < share:
        first, weight = int(rng.integers(longest - shortest + 1)), float(rng.random())
        clips = clips.clone()
        clips[:, first : first + shortest].lerp_(streams[shortest], weight)
    return labels_alone(model, {longest: clips}, labels, backward)


def _require(rng: np.random.Generator | None) -> np.random.Generator:
    if rng is None:
        raise ValueError("this method draws what a step shows: it needs an rng")
    return rng


def _distilling(**how: Any) -> Callable[[Settings], Method]:
    return lambda settings: partial(temporal_distillation, weight=settings.distillation, **how)


METHODS: dict[str, Callable[[Settings], Method]] = {
    "ffn": _distilling(),
    "ffn-labels": _distilling(label_every_stream=True),
    "ffn-sampled": _distilling(show=one_of_them),
    "ffn-labels-sampled": _distilling(label_every_stream=True, show=one_of_them),
    "ffn-split": _distilling(show=shared_out),
    "ffn-labels-split": _distilling(label_every_stream=True, show=shared_out),
    "ffn-thinned": lambda settings: partial(
        temporal_distillation, weight=settings.distillation, show=partial(thinned, share=settings.share)
    ),
    "labels": lambda settings: labels_alone,
    "single": lambda settings: labels_alone,
    "proportional": lambda settings: partial(proportional_sampling, share=settings.share),
    "mixed": lambda settings: partial(mixed_sampling, share=settings.share),
}


def parts(method: str, streams: int) -> int:
    """Into how many parts a step's clips are shared out by `method` with so many streams."""
    return streams - 1 if method.endswith("-split") and streams > 1 else 1
