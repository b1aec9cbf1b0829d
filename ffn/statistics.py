"""What norm layers see and what they normalise with.

A batch norm keeps running statistics; a layer norm, a group norm keep none, so that what they see can be told but
nothing that they expect. Layers go by the names that the backbone's users know, the same for every branch.

Shapes: N images, C channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ffn.divergence import Divergence, Gaussian, divergences
from ffn.layers import AlteredNorm, FrameAverage, Shifted
from ffn.model import FrameFlexible
from ffn.surgery import channels_last, is_norm, swapped
from ffn.synthesis import Filled


@dataclass
class Moments:
    """Count, mean and summed squared deviations of channels, merged batch by batch (Chan, Golub and LeVeque 1979)."""

    count: int = 0
    mean: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    squares: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))

    def add(self, x: Tensor, dim: int = 1) -> None:
        """Takes in activations with their channels in dimension `dim`, 1 as in (N, C, H, W), or -1."""
        self.merge(_of_rows(x.flatten(0, -2)) if dim == -1 else _of_images(x.unsqueeze(-1).flatten(2)))

    def merge(self, other: "Moments") -> None:
        """Takes in what `other` has taken in."""
        if not other.count:
            return
        total = self.count + other.count
        step = other.mean - self.mean
        self.squares = self.squares + other.squares + step**2 * (self.count * other.count / total)
        self.mean = self.mean + step * (other.count / total)
        self.count = total

    def gaussian(self) -> Gaussian:
        """The statistics of everything taken in so far."""
        return Gaussian(self.mean.numpy(), (self.squares / max(1, self.count)).numpy())


def _of_images(x: Tensor) -> Moments:
    """Moments of `x` (N, C, pixels): sums within an image, which are fast, and over images in double precision."""
    count = x.shape[0] * x.shape[2]
    precision = torch.promote_types(x.dtype, torch.float32)
    sums = x.sum(2, dtype=precision).cpu().double().sum(0)
    squares = torch.linalg.vector_norm(x, dim=2, dtype=precision).cpu().double().square().sum(0)
    mean = sums / count
    return Moments(count, mean, (squares - sums * mean).clamp(min=0))


def _of_rows(x: Tensor) -> Moments:
    """Moments of `x` (rows, C)."""
    if x.device.type in ("cpu", "cuda"):  # where the pass of a batch norm in training is many times faster
        mean, variance = torch.batch_norm_update_stats(x, None, None, 0.0)
    else:
        variance, mean = torch.var_mean(x, dim=0, correction=0)
    return Moments(len(x), mean.cpu().double(), variance.cpu().double() * len(x))


class _Measured(nn.Module):
    """A norm layer that also measures what goes into it."""

    def __init__(self, norm: nn.Module, moments: Moments) -> None:
        super().__init__()
        self.norm, self.moments = norm, moments
        self.dim = -1 if channels_last(norm) else 1

    def forward(self, x: Tensor) -> Tensor:
        self.moments.add(x, self.dim)
        return self.norm(x)


def measured(network: nn.Module) -> tuple[nn.Module, dict[str, Moments]]:
    """A view of an ordinary `network` whose norms measure their inputs, and what they measure by layer name.

    `network` itself is left alone, so that others may use it at the same time.
    """
    layers = {norm: (name, Moments()) for name, norm in norm_layers(network).items()}
    wrapped = {norm: _Measured(norm, moments) for norm, (_, moments) in layers.items()}
    view = swapped(network, lambda module: wrapped.pop(module, None))
    return view, dict(layers.values())


def norm_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Every norm of an ordinary `network` by name, in the order of registration.

    What was put around a layer is no part of its name: a branch of many and a network of one have the same names.
    """
    found: dict[nn.Module, str] = {}
    for name, norm in _named(network, ""):
        found.setdefault(norm, name)
    return {name: norm for norm, name in found.items()}


def _named(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    if is_norm(module):
        yield name, module
    is_added = isinstance(module, FrameAverage | Shifted | AlteredNorm | Filled)
    for inner, child in module.named_children():
        yield from _named(child, name if is_added else f"{name}.{inner}".lstrip("."))


def batch_norms(network: nn.Module) -> list[tuple[str, Any]]:
    """Name and module of every norm that keeps running statistics."""
    return [
        (name, norm)
        for name, norm in norm_layers(network).items()
        if isinstance(getattr(norm, "running_mean", None), Tensor)
    ]


def stage_of(layer: str) -> str:
    """The numbered part of a network that a layer belongs to: `layer4`, `stages.3`; the block where there are none."""
    first, *rest = layer.split(".")
    return f"{first}.{rest[0]}" if rest and rest[0].isdigit() and not first[-1].isdigit() else first


@dataclass(frozen=True)
class NormParameters:
    """What one norm normalises with: mu, sigma^2, gamma, beta (paper eq. 1), each (C,); NaN where it has none."""

    mean: np.ndarray
    variance: np.ndarray
    weight: np.ndarray
    bias: np.ndarray


def norm_parameters(model: FrameFlexible, branch: int) -> dict[str, NormParameters]:
    """Running statistics and affine parameters of every norm in a branch, in network order; needs no data."""
    return {name: _parameters(norm) for name, norm in norm_layers(model.at(branch, branch)).items()}


def _parameters(norm: Any) -> NormParameters:
    named = {name: getattr(norm, name, None) for name in ("running_mean", "running_var", "weight", "bias")}
    shape = next(tensor.shape for tensor in named.values() if tensor is not None)
    return NormParameters(*(np.full(shape, np.nan) if t is None else _numbers(t) for t in named.values()))


def _numbers(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()


def running_statistics(network: nn.Module) -> dict[str, Gaussian]:
    """The statistics that an ordinary network's batch norms normalise with, by layer name, in network order."""
    return {
        name: Gaussian(_numbers(norm.running_mean), _numbers(norm.running_var)) for name, norm in batch_norms(network)
    }


def branch_divergences(model: FrameFlexible, branch: int, reference: int) -> dict[str, Divergence]:
    """Divergence of every norm's running statistics in `branch` from those in `reference`; needs no data."""
    return divergences(*(running_statistics(model.at(t, t)) for t in (branch, reference)))


def network_divergences(
    model: FrameFlexible, other: FrameFlexible, branch: int, reference: int
) -> dict[str, Divergence]:
    """Divergence of every norm's running statistics in `branch` of `model` from those in `reference` of `other`.

    Channels are compared by number, which says something only of networks that come from the same weights; those that
    were drawn apart have their features in other places.
    """
    return divergences(running_statistics(model.at(branch, branch)), running_statistics(other.at(reference, reference)))
