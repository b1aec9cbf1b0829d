"""What is added to a backbone: temporal shift, private normalisation, weight alteration.

Each of the three is a `Routed` module: it knows one version of itself per branch, or needs the clip's own
number of frames. A routed module never runs itself. `at(branch, num_frames)` hands out the plain module that
does the work, `model.specialise` collects these into an ordinary network, and that network is what runs.
No mode is ever set, so threads, activation checkpoints and compiled graphs cannot see each other's frame count.

Shapes: B clips, T frames, N = B * T images, C channels, H height, W width.
"""

import itertools
from collections.abc import Sequence
from copy import copy, deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Geometry = tuple[Any, ...]  # stride, padding, dilation, transposed, output padding and groups of a convolution


def nearest(num_frames: int, frames: Sequence[int]) -> int:
    """The trained frame count that serves `num_frames`: the closest one, ties to the higher (paper section 5.3)."""
    if num_frames < 1:
        raise ValueError(f"a clip needs at least 1 frame, got {num_frames}")
    best, *others = sorted(frames)
    for trained in others:
        if abs(trained - num_frames) <= abs(best - num_frames):
            best = trained
    return best


def check_frames(frames: Sequence[int]) -> tuple[int, ...]:
    """`frames` as a tuple; `ValueError` unless it holds strictly increasing positive integers."""
    counts = (frames,) if isinstance(frames, int) else tuple(frames)
    whole = all(isinstance(t, int) and not isinstance(t, bool) and t > 0 for t in counts)
    if not counts or not whole or any(a >= b for a, b in itertools.pairwise(counts)):
        raise ValueError(f"frames must be increasing positive integers such as (4, 8, 16), got {frames!r}")
    return counts


class Routed(nn.Module):
    """A module that differs between branches or frame counts."""

    def at(self, branch: int, num_frames: int) -> nn.Module:
        """The plain module that does this one's work for `num_frames` frames in `branch`; it shares its parameters."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it is in a branch")

    def forward(self, *inputs: Tensor) -> Tensor:
        raise RuntimeError(
            f"{type(self).__name__} has one version per branch and cannot run by itself; "
            "call the whole model, or take one branch out with ffn.extract(model, frames=...)"
        )


class Switchable(Routed):
    """Specialised normalisation: one private copy of a norm layer per branch (paper eq. 6).

    The layer is copied, not rebuilt: timm's norms may carry an activation.
    """

    def __init__(self, norm: nn.Module, frames: Sequence[int]) -> None:
        super().__init__()
        self.by_frames = nn.ModuleDict({str(t): deepcopy(norm) for t in frames})

    def at(self, branch: int, num_frames: int) -> nn.Module:
        return self.by_frames[str(branch)]


def alter(weight: Tensor, gain: Tensor, groups: int = 1) -> Tensor:
    """The weight (C_out, C_in / groups, ...) that does to x what `weight` does to x * (1 + `gain`), gain (C_in,)."""
    scale = (1 + gain).view(groups, 1, -1).expand(-1, weight.shape[0] // groups, -1).flatten(0, 1)
    return weight * scale.view(*scale.shape, *[1] * (weight.ndim - 2))


class AlteredConvolution(torch.autograd.Function):
    """A convolution by the altered weight, which is computed again for the gradients instead of being kept for them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, gain: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(x, weight, gain)
        ctx.geometry, ctx.biased = geometry, bias is not None
        return torch.convolution(x, alter(weight, gain, geometry[-1]).to(x.dtype), bias, *geometry)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, gain = ctx.saved_tensors
        needed = [ctx.needs_input_grad[0], True, ctx.biased]
        with torch.enable_grad():
            leaves = weight.detach().requires_grad_(), gain.detach().requires_grad_()
            altered = alter(*leaves, ctx.geometry[-1])
        grad_x, grad_altered, grad_bias = torch.ops.aten.convolution_backward(
            grad, x, altered.detach().to(x.dtype), [weight.shape[0]], *ctx.geometry, needed
        )
        grad_weight, grad_gain = torch.autograd.grad(altered, leaves, grad_altered.to(altered.dtype))
        return grad_x, grad_weight, grad_gain, grad_bias, None


class Altered(nn.Module):
    """`conv` with one branch's altered weight: conv(x, W * (1 + w)), which keeps no activation of its own."""

    def __init__(self, conv: nn.Conv2d, gain: nn.Parameter) -> None:
        super().__init__()
        self.conv, self.gain = conv, gain

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W)
        conv = self.conv
        if not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return conv._conv_forward(x, alter(conv.weight, self.gain, conv.groups), conv.bias)
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        bias = None if conv.bias is None else conv.bias.to(x.dtype)
        geometry = (conv.stride, conv.padding, conv.dilation, False, (0, 0), conv.groups)
        return AlteredConvolution.apply(x, conv.weight, self.gain, bias, geometry)


class ResidualAdapter(Routed):
    """Weight alteration: x + w * x per input channel of `conv`, with w private to a branch (paper eq. 7-9).

    Drawn from N(0, 1e-3) and kept, so that training starts at the pretrained behaviour.
    """

    def __init__(self, conv: nn.Conv2d, frames: Sequence[int]) -> None:
        super().__init__()
        self.conv = conv
        self.by_frames = nn.ParameterDict(
            {str(t): nn.Parameter(conv.weight.new_empty(conv.in_channels).normal_(0, 1e-3)) for t in frames}
        )

    def at(self, branch: int, num_frames: int) -> nn.Module:
        return Altered(self.conv, self.by_frames[str(branch)])

    def fold(self, branch: int) -> nn.Conv2d:
        """An ordinary convolution that computes the same function as this one does in `branch`."""
        folded = copy(self.conv)
        weight = alter(self.conv.weight, self.by_frames[str(branch)], self.conv.groups)
        folded._parameters = {**self.conv._parameters, "weight": nn.Parameter(weight.detach())}
        return folded


def shift(x: Tensor, num_frames: int, folds: int = 8) -> Tensor:
    """Moves 1/`folds` of the channels one frame back in time, as many one frame on, and fills the ends with zeros.

    Takes (B * T, C, H, W), the T = `num_frames` frames of a clip next to each other, and never looks past a clip.
    Channels [0, C // folds) show frame t + 1, the next C // folds show t - 1 (TSM, arXiv 1811.08383, section 3).
    """
    if x.shape[0] % num_frames:
        raise ValueError(f"{x.shape[0]} images are not a whole number of clips of {num_frames} frames")
    x = x.unflatten(0, (-1, num_frames))  # (B, T, C, H, W)
    fold = x.shape[2] // folds
    blank = torch.zeros_like(x[:, :1, :fold])
    ahead = torch.cat([x[:, 1:, :fold], blank], dim=1)
    behind = torch.cat([blank, x[:, :-1, fold : 2 * fold]], dim=1)
    return torch.cat([ahead, behind, x[:, :, 2 * fold :]], dim=2).flatten(0, 1)


class Shifted(nn.Module):
    """`net` on temporally shifted images of clips of `num_frames` frames."""

    def __init__(self, net: nn.Module, num_frames: int) -> None:
        super().__init__()
        self.net, self.num_frames = net, num_frames

    def forward(self, x: Tensor) -> Tensor:  # (B * T, C, H, W)
        return self.net(shift(x, self.num_frames))


class TemporalShift(Routed):
    """Feeds `net` the temporal shift of its input, at whatever number of frames the clip has."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def at(self, branch: int, num_frames: int) -> nn.Module:
        return Shifted(self.net, num_frames)
