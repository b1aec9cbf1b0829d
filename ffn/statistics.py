"""What norm layers see and what they normalise with.

Shapes: N images, C channels.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ffn.divergence import Divergence, Gaussian, divergence
from ffn.model import FrameFlexible
from ffn.surgery import norms, swapped


@dataclass
class Moments:
    """Count, mean and summed squared deviations of channels, merged batch by batch (Chan, Golub and LeVeque 1979)."""

    count: int = 0
    mean: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    squares: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))

    def add(self, x: Tensor) -> None:
        """Takes in activations with their channels in dimension 1, such as (N, C, H, W)."""
        variance, mean = torch.var_mean(x, dim=[axis for axis in range(x.ndim) if axis != 1], correction=0)
        count = x.numel() // x.shape[1]
        self.merge(Moments(count, mean.double().cpu(), variance.double().cpu() * count))

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


class _Measured(nn.Module):
    """A norm layer that also measures what goes into it."""

    def __init__(self, norm: nn.Module, moments: Moments) -> None:
        super().__init__()
        self.norm, self.moments = norm, moments

    def forward(self, x: Tensor) -> Tensor:
        self.moments.add(x)
        return self.norm(x)


def measured(network: nn.Module) -> tuple[nn.Module, dict[str, Moments]]:
    """A view of an ordinary `network` whose batch norms measure their inputs, and what they measure by layer name.

    `network` itself is left alone, so that others may use it at the same time.
    """
    layers = {norm: (name, Moments()) for name, norm in _batch_norms(network)}
    wrapped = {norm: _Measured(norm, moments) for norm, (_, moments) in layers.items()}
    view = swapped(network, lambda module: wrapped.pop(module, None))
    return view, dict(layers.values())


def running_statistics(network: nn.Module) -> dict[str, Gaussian]:
    """The statistics that an ordinary network's batch norms normalise with, by layer name, in network order."""
    return {
        name: Gaussian(norm.running_mean.double().cpu().numpy(), norm.running_var.double().cpu().numpy())
        for name, norm in _batch_norms(network)
    }


def branch_divergences(model: FrameFlexible, branch: int, reference: int) -> dict[str, Divergence]:
    """Divergence of every norm's running statistics in `branch` from those in `reference`; needs no data."""
    seen = running_statistics(model.at(branch, branch))
    used = running_statistics(model.at(reference, reference))
    return {name: divergence(seen[name], used[name]) for name in seen}


def norm_summaries(model: FrameFlexible, branch: int) -> dict[str, dict[str, float]]:
    """Channel means of mean, variance, weight and bias (mu, sigma^2, gamma, beta) of every batch norm in a branch."""
    return {
        name: {
            "mean": float(norm.running_mean.mean()),
            "variance": float(norm.running_var.mean()),
            "weight": float(norm.weight.detach().mean()),
            "bias": float(norm.bias.detach().mean()),
        }
        for name, norm in _batch_norms(model.at(branch, branch))
    }


def _batch_norms(network: nn.Module) -> list[tuple[str, Any]]:
    """Name, as the backbone's users know it, and module of every norm with running statistics."""
    return [
        (name.removeprefix("backbone."), norm)
        for name, norm in norms(network)
        if getattr(norm, "running_mean", None) is not None
    ]
