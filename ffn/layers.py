"""What is added to a backbone: temporal shift, private normalisation, weight alteration.

Each of the three is a `Routed` module: it knows one version of itself per branch, or needs the clip's own
number of frames. A routed module never runs itself. `at(branch, num_frames)` hands out the plain module that
does the work, `model.specialise` collects these into an ordinary network, and that network is what runs.
No mode is ever set, so threads, activation checkpoints and compiled graphs cannot see each other's frame count.

Shapes: B clips, T frames, N = B * T images, C channels, H height, W width.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy, deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Convolution = nn.Conv2d | nn.Conv3d
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


def check_frames(frames: int | Sequence[int]) -> tuple[int, ...]:
    """`frames` as a tuple; `ValueError` unless it holds strictly increasing positive integers."""
    counts = (frames,) if isinstance(frames, int) else tuple(frames)
    whole = all(isinstance(t, int) and not isinstance(t, bool) and t > 0 for t in counts)
    if not counts or not whole or any(a >= b for a, b in itertools.pairwise(counts)):
        raise ValueError(f"frames must be increasing positive integers such as (4, 8, 16), got {frames!r}")
    return counts


class Routed(nn.Module, ABC):
    """A module that differs between branches or frame counts."""

    @abstractmethod
    def at(self, branch: int, num_frames: int) -> nn.Module:
        """The plain module that does this one's work for `num_frames` frames in `branch`; it shares its parameters."""

    def forward(self, *inputs: Tensor) -> Tensor:
        raise RuntimeError(
            f"{type(self).__name__} has one version per branch and cannot run by itself; "
            "call the whole model, or take one branch out with ffn.extract(model, frames=...)"
        )


def with_copy(by_frames: Any, branch: int, like: int) -> dict[str, Any]:
    """What each branch has (`by_frames`), in order, and for the new `branch` a copy of what `like` has."""
    copies = {**by_frames, str(branch): deepcopy(by_frames[str(like)])}
    return {name: copies[name] for name in sorted(copies, key=int)}


class Switchable(Routed):
    """One private copy of a layer per branch: of a norm, specialised normalisation (paper eq. 6).

    The layer is copied, not rebuilt: timm's norms may carry an activation.
    """

    def __init__(self, layer: nn.Module, frames: Sequence[int]) -> None:
        super().__init__()
        self.by_frames = nn.ModuleDict({str(t): deepcopy(layer) for t in frames})

    def add(self, branch: int, like: int) -> None:
        """One more branch, a copy of the branch `like`."""
        self.by_frames = nn.ModuleDict(with_copy(self.by_frames, branch, like))

    def at(self, branch: int, num_frames: int) -> nn.Module:
        return self.by_frames[str(branch)]


def alter(weight: Tensor, gain: Tensor, groups: int = 1, *, skip: bool = False) -> Tensor:
    """The weight (C_out, C_in / groups, ...) that does to x what `weight` does to x * (1 + `gain`), gain (C_in,).

    With `skip` it also adds x * `gain` to the output: the weight is depth-wise, and x + conv(x) becomes altered in
    both of its terms.
    """
    scale = (1 + gain).view(groups, 1, -1).expand(-1, weight.shape[0] // groups, -1).flatten(0, 1)
    altered = weight * scale.view(*scale.shape, *[1] * (weight.ndim - 2))
    if not skip:
        return altered
    centre = torch.zeros_like(weight[:1, :1])
    centre[(0, 0, *(side // 2 for side in weight.shape[2:]))].fill_(1)  # assigning copies from the CPU
    return altered + gain.view(-1, *[1] * (weight.ndim - 1)) * centre


class AlteredConvolution(torch.autograd.Function):
    """A convolution by the altered weight, which is computed again for the gradients instead of being kept for them."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, gain: Tensor, bias: Tensor | None, geometry: Geometry, skip: bool
    ) -> Tensor:
        ctx.save_for_backward(x, weight, gain)
        ctx.geometry, ctx.skip, ctx.biased = geometry, skip, bias is not None
        return torch.convolution(x, alter(weight, gain, geometry[-1], skip=skip).to(x.dtype), bias, *geometry)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, gain = ctx.saved_tensors
        needed = [ctx.needs_input_grad[0], True, ctx.biased]
        with torch.enable_grad():
            leaves = weight.detach().requires_grad_(), gain.detach().requires_grad_()
            altered = alter(*leaves, ctx.geometry[-1], skip=ctx.skip)
        grad_x, grad_altered, grad_bias = torch.ops.aten.convolution_backward(
            grad, x, altered.detach().to(x.dtype), [weight.shape[0]], *ctx.geometry, needed
        )
        grad_weight, grad_gain = torch.autograd.grad(altered, leaves, grad_altered.to(altered.dtype))
        return grad_x, grad_weight, grad_gain, grad_bias, None, None


def is_plain(conv: Convolution) -> bool:
    """Whether `conv` does no more than torch's own, with zeros around its input: its geometry says everything."""
    own = type(conv).forward in (nn.Conv2d.forward, nn.Conv3d.forward)
    return own and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


class Altered(nn.Module):
    """`conv` with one branch's altered weight: conv(x, W * (1 + w)), which keeps no activation of its own.

    A convolution with a forward pass of its own, such as one that standardises its weight, gets x * (1 + w) instead.
    """

    def __init__(self, conv: Convolution, gain: nn.Parameter, *, skip: bool = False) -> None:
        super().__init__()
        self.conv, self.gain, self.skip = conv, gain, skip
        self.plain = is_plain(conv)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) or (B, C, T, H, W)
        conv = self.conv
        if not self.plain:
            return conv(x * (1 + self.gain).view(-1, *[1] * (x.ndim - 2)))
        if not torch.is_grad_enabled() or torch.compiler.is_compiling():
            weight = alter(conv.weight, self.gain, conv.groups, skip=self.skip)
            return conv._conv_forward(x, weight, conv.bias)
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        bias = None if conv.bias is None else conv.bias.to(x.dtype)
        geometry = (conv.stride, conv.padding, conv.dilation, False, (0,) * len(conv.stride), conv.groups)
        return AlteredConvolution.apply(x, conv.weight, self.gain, bias, geometry, self.skip)


class ResidualAdapter(Routed):
    """Weight alteration: x + w * x per channel, with w private to a branch (paper eq. 7-9), of what `conv` sees.

    With `skip`, x + conv(x) is altered in both terms: `conv` is then depth-wise and keeps the size of its input.
    """

    def __init__(self, conv: Convolution, frames: Sequence[int], *, skip: bool = False) -> None:
        super().__init__()
        if skip and conv.groups != conv.in_channels:
            raise ValueError("only a depth-wise convolution can carry the alteration of its skip")
        self.conv, self.skip = conv, skip
        self._draw(conv.weight, conv.in_channels, frames)

    def _draw(self, like: Tensor, channels: int, frames: Sequence[int]) -> None:
        """Gains from N(0, 1e-3), which nothing overwrites, so that training starts at the pretrained behaviour."""
        gains = {str(t): nn.Parameter(like.new_empty(channels).normal_(0, 1e-3)) for t in frames}
        self.by_frames = nn.ParameterDict(gains)

    def add(self, branch: int, like: int) -> None:
        """One more branch, a copy of the branch `like`."""
        self.by_frames = nn.ParameterDict(with_copy(self.by_frames, branch, like))

    @property
    def original(self) -> nn.Module:
        """The layer without its alteration."""
        return self.conv

    def at(self, branch: int, num_frames: int) -> nn.Module:
        return Altered(self.conv, self.by_frames[str(branch)], skip=self.skip)

    def fold(self, branch: int) -> nn.Module:
        """An ordinary layer that computes the same function as this one does in `branch`."""
        weight = alter(self.conv.weight, self.by_frames[str(branch)], self.conv.groups, skip=self.skip)
        return with_parameters(self.conv, weight=weight)


class NormAdapter(ResidualAdapter):
    """Weight alteration of what `norm` gives, which has its channels in dimension `dim`.

    Where a block begins with a norm and attends in windows, this is the place from which all of it sees the change.
    """

    def __init__(self, norm: Any, frames: Sequence[int], dim: int) -> None:
        Routed.__init__(self)
        self.norm, self.dim = norm, dim
        self._draw(norm.weight, norm.weight.numel(), frames)

    @property
    def original(self) -> nn.Module:
        return self.norm

    def at(self, branch: int, num_frames: int) -> nn.Module:
        return AlteredNorm(self.norm, self.by_frames[str(branch)], self.dim)

    def fold(self, branch: int) -> nn.Module:
        norm = self.norm.at(branch, branch) if isinstance(self.norm, Routed) else self.norm
        scale = 1 + self.by_frames[str(branch)]
        return with_parameters(norm, **{name: p * scale for name, p in norm.named_parameters(recurse=False)})


class AlteredNorm(nn.Module):
    """`norm` with one branch's gain on the channels, which are in dimension `dim`, of its output."""

    def __init__(self, norm: nn.Module, gain: nn.Parameter, dim: int) -> None:
        super().__init__()
        self.norm, self.gain, self.dim = norm, gain, dim

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return y * (1 + self.gain).view(-1, *[1] * (y.ndim - 2 if self.dim == 1 else 0))


def with_parameters(module: nn.Module, **parameters: Tensor) -> Any:
    """A shallow copy of `module` with some of its parameters replaced."""
    view = copy(module)
    new = {name: nn.Parameter(tensor.detach()) for name, tensor in parameters.items()}
    view._parameters = {**module._parameters, **new}
    return view


def shift(x: Tensor, num_frames: int, folds: int = 8, *, dim: int = 1, prefix: int = 0) -> Tensor:
    """Moves 1/`folds` of the channels one frame back in time, as many one frame on, and fills the ends with zeros.

    Takes (B * T, C, H, W) or, with `dim` -1, (B * T, ..., C), the T = `num_frames` frames of a clip next to each
    other, and never looks past a clip. Channels [0, C // folds) show frame t + 1, the next C // folds show t - 1 (TSM,
    arXiv 1811.08383, section 3). The first `prefix` tokens of (B * T, L, C), such as a class token, stay.
    """
    return Shift.apply(x, num_frames, x.shape[dim] // folds, dim, prefix, False)


def _by_clip(x: Tensor, num_frames: int, dim: int, prefix: int) -> Tensor:
    """A view (B, T, ..., C) of images (B * T, ...) with their channels in `dim`, without the first `prefix` tokens."""
    if x.shape[0] % num_frames:
        raise ValueError(f"{x.shape[0]} images are not a whole number of clips of {num_frames} frames")
    images = x[:, prefix:] if prefix else x
    return images.unflatten(0, (-1, num_frames)).movedim(dim if dim < 0 else dim + 1, -1)


def _move(to: Tensor, source: Tensor, fold: int, *, backwards: bool = False) -> None:
    """Writes into the first 2 * `fold` channels of `to` (B, T, ..., C) those of the neighbouring frames of `source`."""
    first, second = slice(0, fold), slice(fold, 2 * fold)
    ahead, behind = (second, first) if backwards else (first, second)
    to[:, :-1, ..., ahead] = source[:, 1:, ..., ahead]
    to[:, -1, ..., ahead] = 0
    to[:, 1:, ..., behind] = source[:, :-1, ..., behind]
    to[:, 0, ..., behind] = 0


class Shift(torch.autograd.Function):
    """The shift in one copy; its gradient is the shift in the other direction."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, num_frames: int, fold: int, dim: int, prefix: int, backwards: bool) -> Tensor:
        ctx.how = (num_frames, fold, dim, prefix)
        ctx.backwards = backwards
        moved = torch.empty_like(x)
        if prefix:
            moved[:, :prefix] = x[:, :prefix]
        to, source = (_by_clip(images, num_frames, dim, prefix) for images in (moved, x))
        _move(to, source, fold, backwards=backwards)
        to[..., 2 * fold :] = source[..., 2 * fold :]
        return moved

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return Shift.apply(grad, *ctx.how, not ctx.backwards), None, None, None, None, None


@contextmanager
def shifted_in_place(x: Tensor, num_frames: int, folds: int = 8, *, dim: int = 1, prefix: int = 0) -> Iterator[None]:
    """`x` holds its own `shift` for a while: a quarter of it is moved and put back, instead of all of it copied."""
    fold = x.shape[dim] // folds
    moving = _by_clip(x, num_frames, dim, prefix)[..., : 2 * fold]
    kept = moving.clone()
    _move(moving, kept, fold)
    try:
        yield
    finally:
        moving.copy_(kept)


class Shifted(nn.Module):
    """`net` on temporally shifted images of clips of `num_frames` frames; with `after`, its output is shifted."""

    def __init__(self, net: nn.Module, num_frames: int, *, dim: int, prefix: int, after: bool) -> None:
        super().__init__()
        self.net, self.num_frames = net, num_frames
        self.dim, self.prefix, self.after = dim, prefix, after

    def forward(self, x: Tensor) -> Tensor:  # (B * T, C, H, W) or (B * T, ..., C)
        if self.after:
            return shift(self.net(x), self.num_frames, dim=self.dim, prefix=self.prefix)
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self.net(shift(x, self.num_frames, dim=self.dim, prefix=self.prefix))
        with shifted_in_place(x, self.num_frames, dim=self.dim, prefix=self.prefix):
            return self.net(x)


class TemporalShift(Routed):
    """Feeds `net` the temporal shift of its input, or shifts its output, at whatever number of frames the clip has.

    `dim` is where the channels are, 1 or -1; `prefix` the number of leading tokens that are no part of the image.
    """

    def __init__(self, net: nn.Module, *, dim: int = 1, prefix: int = 0, after: bool = False) -> None:
        super().__init__()
        self.net, self.dim, self.prefix, self.after = net, dim, prefix, after

    def at(self, branch: int, num_frames: int) -> nn.Module:
        return Shifted(self.net, num_frames, dim=self.dim, prefix=self.prefix, after=self.after)


class InClips(nn.Module):
    """`net`, which takes clips (B, T, C, H, W), on the images (B * T, C, H, W) of clips of `num_frames` frames."""

    def __init__(self, net: nn.Module, num_frames: int) -> None:
        super().__init__()
        self.net, self.num_frames = net, num_frames

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.unflatten(0, (-1, self.num_frames))).flatten(0, 1)


class Clipwise(Routed):
    """`net`, which mixes the frames of clips (B, T, C, H, W), inside a network of images (B * T, C, H, W)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def at(self, branch: int, num_frames: int) -> nn.Module:
        return InClips(self.net, num_frames)


class FrameAverage(nn.Module):
    """An image classifier made a clip classifier: the mean of its logits over the frames."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, clips: Tensor) -> Tensor:  # (B, T, C, H, W) -> (B, K)
        logits = self.backbone(clips.flatten(0, 1))
        return logits.unflatten(0, clips.shape[:2]).mean(dim=1)
