"""Training losses, stream by stream.

Every loss calls `backward` once per stream, longest first, so that one stream's activations are freed before the next
stream's are made: the gradients of the joint loss at the memory of the longest stream. `backward` comes as an
argument, so that a gradient scaler or a distributed engine can put its own in.

Shapes: B clips, T frames, K classes.
"""

from collections.abc import Callable
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

Backward = Callable[[Tensor], object]
Network = Callable[[Tensor], Tensor]


class StreamLoss(Protocol):
    """Runs `model` on each stream and `backward` on each loss; returns the logits and losses per frame count."""

    def __call__(
        self, model: Network, streams: dict[int, Tensor], labels: Tensor, backward: Backward
    ) -> tuple[dict[int, Tensor], dict[int, float]]: ...


def distillation(logits: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student) over the classes, averaged over the batch (paper eq. 4); `teacher` holds logits (B, K)."""
    return F.kl_div(logits.log_softmax(-1), teacher.log_softmax(-1), reduction="batchmean", log_target=True)


def temporal_distillation(
    model: Network,
    streams: dict[int, Tensor],
    labels: Tensor,
    backward: Backward,
    *,
    weight: float = 1.0,
    label_every_stream: bool = False,
) -> tuple[dict[int, Tensor], dict[int, float]]:
    """Cross entropy on the longest stream, whose detached prediction teaches the others (paper eq. 3-5).

    Args:
        streams: clips (B, T, C, H, W) of the same videos by frame count; one stream alone is ordinary training.
        labels: class indices (B,).
        weight: lambda of eq. 5.
        label_every_stream: cross entropy on the shorter streams too, which the paper does not do.
    """
    longest = max(streams)
    logits: dict[int, Tensor] = {}
    losses: dict[int, float] = {}
    for num_frames in sorted(streams, reverse=True):
        prediction = model(streams[num_frames])
        if num_frames == longest:
            loss = F.cross_entropy(prediction, labels)
        else:
            loss = weight * distillation(prediction, logits[longest])
            if label_every_stream:
                loss = loss + F.cross_entropy(prediction, labels)
        backward(loss)
        logits[num_frames], losses[num_frames] = prediction.detach(), loss.item()
    return logits, losses


def labels_and_distillation(
    model: Network, streams: dict[int, Tensor], labels: Tensor, backward: Backward
) -> tuple[dict[int, Tensor], dict[int, float]]:
    """Temporal distillation with cross entropy on every stream: the variant called `ffn-labels` in our tables."""
    return temporal_distillation(model, streams, labels, backward, label_every_stream=True)


METHODS: dict[str, StreamLoss] = {"ffn": temporal_distillation, "ffn-labels": labels_and_distillation}
