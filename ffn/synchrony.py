"""Batch norms whose statistics are over the batches of all processes.

`F.batch_norm` itself is exchanged while a step runs. So every norm stays what it is, with its name, its place in a
branch and what else it does - timm's carry an activation - and there is nothing to convert, to save or to undo.

Shapes: N images, C channels, P processes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode


class SynchronisedNorms(TorchFunctionMode):
    """Within it, batch norms that see the batch see those of all processes.

    A `backward()` leaves it: networks that compute activations again for their gradients (`torch.utils.checkpoint`)
    fail with a `CheckpointError`.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        run = batch_norm if func is F.batch_norm else func
        return run(*args, **(kwargs or {}))


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`F.batch_norm` of x (N, C, ...), in training with the statistics of what all processes have."""
    if not training or not dist.is_initialized():
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    y, count, mean, variance = _Normalise.apply(x, weight, bias, eps)
    if running_mean is not None and running_var is not None:
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_((variance * count / (count - 1)).to(running_var.dtype), momentum)
    return y


def statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Number of values per channel, their means and variances (C), of the x (N, C, ...) of all processes."""
    wide = torch.promote_types(x.dtype, torch.float32)
    variance, mean = torch.var_mean(x.to(wide), _all_but_channels(x), correction=0)
    own = torch.cat([mean.new_tensor([x.numel() // x.shape[1]]), mean, variance])
    rows = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(rows, own)
    counts, means, variances = torch.stack(rows).split([1, *[x.shape[1]] * 2], dim=1)  # (P, 1), (P, C), (P, C)
    count = counts.sum()
    mean = (counts * means).sum(0) / count
    return count, mean, (counts * (variances + (means - mean) ** 2)).sum(0) / count


class _Normalise(torch.autograd.Function):
    """Batch norm by shared statistics. Keeps no more than torch's own for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        count, mean, variance = statistics(x)
        ctx.save_for_backward(x, weight, count, mean, (variance + eps).rsqrt())
        ctx.mark_non_differentiable(count, mean, variance)
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps), count, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, count, mean, scale = ctx.saved_tensors

        def spread(channels: Tensor) -> Tensor:
            return channels.view(-1, *[1] * (x.ndim - 2))

        normal = (x - spread(mean)) * spread(scale)  # (N, C, ...), as are all with `spread`
        own = torch.stack([grad.to(normal.dtype).sum(_all_but_channels(x)), (grad * normal).sum(_all_but_channels(x))])
        shared = own.clone()
        dist.all_reduce(shared)
        level, slope = shared / count
        grad_x = (grad - spread(level) - normal * spread(slope)) * spread(scale if weight is None else scale * weight)
        needs_weight, needs_bias = ctx.needs_input_grad[1:3]
        return (
            grad_x.to(x.dtype),
            own[1] if needs_weight else None,
            own[0] if needs_bias else None,
            None,
        )


def _all_but_channels(x: Tensor) -> list[int]:
    return [axis for axis in range(x.ndim) if axis != 1]
